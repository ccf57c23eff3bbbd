//! `tap-analytics teams` and `tap-analytics keys`.
//!
//! What a script would read goes to standard output, and nothing else; what a person is told goes to
//! standard error.

use anyhow::{Context as _, bail};
use chrono::TimeDelta;
use clap::{Args, Subcommand};
use uuid::Uuid;

use super::{
    key::ApiKey,
    model::{Grant, Preset, QUERIES_PER_HOUR, Team},
    store,
};
use crate::{
    clock::Clock,
    db::Db,
    ids::{KeyId, TeamId},
};

/// What can be done with teams.
#[derive(Debug, Subcommand)]
pub enum Teams {
    /// Add a team.
    Create {
        /// Its name in commands and addresses: lower-case letters, digits and hyphens.
        #[arg(value_parser = parse_slug)]
        slug: String,
        /// Its name for people. Default: the slug.
        #[arg(long)]
        name: Option<String>,
    },
    /// Show every team: number, slug, name.
    List,
}

/// What can be done with keys.
#[derive(Debug, Subcommand)]
pub enum Keys {
    /// Make a key and print it. It is shown this once.
    Create(CreateKey),
    /// Show the keys of a team: id, start of the key, state, queries an hour, scopes, name.
    List {
        /// Slug of the team.
        #[arg(long)]
        team: String,
    },
    /// End a key for good. It stops working everywhere within a second.
    Revoke {
        /// Slug of the team.
        #[arg(long)]
        team: String,
        /// The id that `keys list` shows.
        id: Uuid,
    },
}

/// What a new key is like.
#[derive(Args, Debug)]
pub struct CreateKey {
    /// Slug of the team.
    #[arg(long)]
    team: String,
    /// What the key is for, such as `dashboard`.
    #[arg(long, value_parser = parse_name)]
    name: String,
    /// What it may do.
    #[arg(long, value_enum, default_value = "reader")]
    preset: Preset,
    /// When it ends: a span such as 90d, 12h or 30m. Default: never.
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    expires: Option<TimeDelta>,
    /// Queries an hour.
    #[arg(long, default_value_t = QUERIES_PER_HOUR, value_name = "COUNT",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    queries_per_hour: u32,
}

/// Runs `teams`.
///
/// # Errors
/// When the store cannot be reached, or the slug is taken.
pub async fn teams(db: &Db, command: Teams) -> anyhow::Result<()> {
    match command {
        Teams::Create { slug, name } => {
            let name = name.unwrap_or_else(|| slug.clone());
            let Some(id) = store::create_team(db, &slug, &name).await? else {
                bail!("there is a team {slug} already: choose another slug");
            };
            println!("{id}");
            eprintln!(
                "team {slug} has the number {id}; next: tap-analytics keys create --team {slug} --name NAME"
            );
        }
        Teams::List => {
            for team in store::list_teams(db).await? {
                println!("{}\t{}\t{}", team.id, team.slug, team.name);
            }
        }
    }
    Ok(())
}

/// Runs `keys`.
///
/// # Errors
/// When the store cannot be reached, or there is no such team or key.
pub async fn keys(db: &Db, clock: &Clock, command: Keys) -> anyhow::Result<()> {
    match command {
        Keys::Create(new) => {
            let team = find_team(db, &new.team).await?;
            let expires_at = new.expires.map(|span| clock.now() + span);
            let key = Grant {
                name: &new.name,
                scopes: new.preset.scopes(),
                queries_per_hour: new.queries_per_hour,
                expires_at,
            };
            println!("{}", create_key(db, team.id, key).await?.reveal());
            eprintln!("this key is shown once: store it where only its user can read it");
        }
        Keys::List { team } => {
            let team = find_team(db, &team).await?;
            for key in store::list_keys(db, team.id).await? {
                let state = match (key.revoked_at, key.expires_at) {
                    (Some(at), _) => format!("revoked {at:?}"),
                    (None, Some(at)) if at <= clock.now() => format!("expired {at:?}"),
                    (None, Some(at)) => format!("valid until {at:?}"),
                    (None, None) => "valid".to_owned(),
                };
                let scopes = key.scopes.join(",");
                let (id, prefix, quota, name) =
                    (key.id, key.prefix, key.queries_per_hour, key.name);
                println!("{id}\t{prefix}\t{state}\t{quota}/h\t{scopes}\t{name}");
            }
        }
        Keys::Revoke { team, id } => {
            let team = find_team(db, &team).await?;
            if !store::revoke_key(db, team.id, KeyId(id)).await? {
                bail!(
                    "team {} has no key {id}: see tap-analytics keys list --team {}",
                    team.slug,
                    team.slug
                );
            }
            eprintln!("revoked: the key stops working everywhere within a second");
        }
    }
    Ok(())
}

/// Makes and stores a key.
///
/// # Errors
/// When the store cannot be reached.
pub async fn create_key(db: &Db, team: TeamId, grant: Grant<'_>) -> anyhow::Result<ApiKey> {
    let key = generate(team)?;
    store::create_key(db, &key, grant).await?;
    Ok(key)
}

/// Makes a team of this number together with a key: there is no team that nobody can use. `None` when
/// the number or the slug is taken.
///
/// # Errors
/// When the store cannot be reached.
pub async fn create_team_with_key(
    db: &Db,
    team: TeamId,
    slug: &str,
    name: &str,
    grant: Grant<'_>,
) -> anyhow::Result<Option<ApiKey>> {
    let key = generate(team)?;
    let made = store::create_team_with_key(db, slug, name, &key, grant).await?;
    Ok(made.then_some(key))
}

fn generate(team: TeamId) -> anyhow::Result<ApiKey> {
    ApiKey::generate(team).context("the operating system has no randomness to give")
}

async fn find_team(db: &Db, slug: &str) -> anyhow::Result<Team> {
    store::find_team(db, slug)
        .await?
        .with_context(|| format!("there is no team {slug}: see tap-analytics teams list"))
}

fn parse_slug(text: &str) -> Result<String, String> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let sound = (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-');
    if sound {
        Ok(text.to_owned())
    } else {
        Err("use 1 to 63 lower-case letters, digits and hyphens, with no hyphen at either end"
            .to_owned())
    }
}

fn parse_name(text: &str) -> Result<String, String> {
    if (1..=200).contains(&text.chars().count()) {
        Ok(text.to_owned())
    } else {
        Err("use 1 to 200 characters".to_owned())
    }
}

/// A span of the command line, such as `90d`.
pub(crate) fn parse_span(text: &str) -> Result<TimeDelta, String> {
    let (digits, unit) = text.split_at(text.len().saturating_sub(1));
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err("use a number and s, m, h or d, such as 90d".to_owned()),
    };
    digits
        .parse::<u32>()
        .ok()
        .filter(|count| *count > 0)
        .and_then(|count| TimeDelta::try_seconds(i64::from(count) * seconds))
        .filter(|span| *span <= TimeDelta::days(36_500))
        .ok_or_else(|| "use a number and s, m, h or d, such as 90d; at most 36500d".to_owned())
}
