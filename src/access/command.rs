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
    keys,
    model::{
        Actor, Grant, KeyFilter, KeyInfo, KeyState, NAME_CHARS_MAX, OVERLAP_MAX, Preset,
        QUERIES_PER_HOUR, Team,
    },
    store,
    token::{SIGNERS_KEPT, SigningSecret},
};
use crate::{
    clock::Clock,
    db::Db,
    error::Error,
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
    /// Show the keys of a team: id, start of the key, state, queries an hour, scopes, last use, name.
    List {
        /// Slug of the team.
        #[arg(long)]
        team: String,
    },
    /// Make a key in the place of another and print it. The old one works until the overlap ends.
    Rotate {
        /// Slug of the team.
        #[arg(long)]
        team: String,
        /// How long the old key goes on working: a span such as 24h, at most 30d, or 0 to end it at once.
        #[arg(long, value_name = "SPAN", default_value = "24h", value_parser = parse_overlap)]
        overlap: TimeDelta,
        /// The id that `keys list` shows.
        #[arg(value_parser = parse_id)]
        id: Uuid,
    },
    /// End a key for good. It stops working everywhere within a second.
    Revoke {
        /// Slug of the team.
        #[arg(long)]
        team: String,
        /// The id that `keys list` shows.
        #[arg(value_parser = parse_id)]
        id: Uuid,
    },
}

/// What can be done with the tokens of browsers.
#[derive(Debug, Subcommand)]
pub enum Tokens {
    /// Sign tokens with a new secret. Those that are out go on working until they end.
    Rotate {
        /// End all tokens that are out at once.
        #[arg(long)]
        end_all: bool,
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
            let Some(id) = create_team(db, &slug, &name).await? else {
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
            println!("{}", create_key(db, clock, team.id, key).await?.reveal());
            eprintln!("this key is shown once: store it where only its user can read it");
        }
        Keys::List { team } => {
            let team = find_team(db, &team).await?;
            for key in list_keys(db, team.id).await? {
                println!("{}", line(&key, clock));
            }
        }
        Keys::Rotate { team, overlap, id } => {
            let team = find_team(db, &team).await?;
            let key = generate(team.id)?;
            let write = db.team_write(team.id).await?;
            let actor = Actor::CommandLine;
            let done = keys::rotate(&write, &actor, KeyId(id), &key, overlap, clock.now()).await;
            match write.end(done).await {
                Ok((new, old)) => {
                    println!("{}", key.reveal());
                    let instant = |at: Option<_>| at.map(crate::wire::instant);
                    let old = instant(old.expires_at).unwrap_or_default();
                    let new = instant(new.expires_at);
                    let new = new.map(|at| format!(" and works until {at}")).unwrap_or_default();
                    eprintln!(
                        "this key is shown once: store it where only its user can read it{new}; the old one works until {old}"
                    );
                }
                Err(Error::NotFound { .. }) => bail!("{}", no_key(&team, id)),
                Err(error) => return Err(error.into()),
            }
        }
        Keys::Revoke { team, id } => {
            let team = find_team(db, &team).await?;
            if !revoke_key(db, clock, team.id, KeyId(id)).await? {
                bail!("{}", no_key(&team, id));
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
pub async fn create_key(
    db: &Db,
    clock: &Clock,
    team: TeamId,
    grant: Grant<'_>,
) -> anyhow::Result<ApiKey> {
    let key = generate(team)?;
    let write = db.team_write(team).await?;
    let done = keys::create(&write, &Actor::CommandLine, &key, grant, clock.now()).await;
    write.end(done).await?;
    Ok(key)
}

/// Ends a key. `false` when the team has no such key.
///
/// # Errors
/// When the store cannot be reached.
pub async fn revoke_key(db: &Db, clock: &Clock, team: TeamId, key: KeyId) -> Result<bool, Error> {
    let write = db.team_write(team).await?;
    let done = keys::revoke(&write, team, &Actor::CommandLine, key, clock.now()).await;
    match write.end(done).await {
        Ok(_) => Ok(true),
        Err(Error::NotFound { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Every key of a team, the newest first.
///
/// # Errors
/// When the store cannot be reached.
pub async fn list_keys(db: &Db, team: TeamId) -> Result<Vec<KeyInfo>, Error> {
    let read = db.team(team).await?;
    let keys = store::list_keys(&read, team, KeyFilter::default(), None).await?;
    read.end().await?;
    Ok(keys)
}

/// Adds a team with the next number. `None` when the slug is taken.
///
/// # Errors
/// When the store cannot be reached.
pub async fn create_team(db: &Db, slug: &str, name: &str) -> Result<Option<TeamId>, Error> {
    let write = db.system_write().await?;
    let done = store::create_team(&write, None, slug, name).await;
    write.end(done).await
}

/// Makes a team of this number together with a key: there is no team that nobody can use. `None` when
/// the number or the slug is taken.
///
/// # Errors
/// When the store cannot be reached.
pub async fn create_team_with_key(
    db: &Db,
    clock: &Clock,
    team: TeamId,
    slug: &str,
    name: &str,
    grant: Grant<'_>,
) -> anyhow::Result<Option<ApiKey>> {
    let key = generate(team)?;
    let write = db.system_write().await?;
    let work = async {
        if store::create_team(&write, Some(team), slug, name).await?.is_none() {
            return Ok(false);
        }
        keys::create(&write, &Actor::CommandLine, &key, grant, clock.now()).await?;
        Ok(true)
    };
    let done = work.await;
    Ok(write.end(done).await?.then_some(key))
}

/// Runs `tokens`.
///
/// # Errors
/// When the store cannot be reached.
pub async fn tokens(db: &Db, clock: &Clock, command: Tokens) -> anyhow::Result<()> {
    let Tokens::Rotate { end_all } = command;
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).context("the operating system has no randomness to give")?;
    let new = SigningSecret { id: Uuid::new_v4().to_string(), secret, created_at: clock.now() };
    let write = db.system_write().await?;
    let done = store::rotate_signing(&write, &new, clock.now() - SIGNERS_KEPT, end_all).await;
    write.end(done).await?;
    if end_all {
        eprintln!("all tokens have ended: pages have to trade their keys for new ones");
    } else {
        eprintln!(
            "in a minute tokens are signed with a new secret; those that are out go on working"
        );
    }
    Ok(())
}

/// A key as `keys list` shows it.
fn line(key: &KeyInfo, clock: &Clock) -> String {
    let instant = |at: Option<_>| at.map(crate::wire::instant).unwrap_or_default();
    let state = match key.state(clock.now()) {
        KeyState::Revoked => format!("revoked {}", instant(key.revoked_at)),
        KeyState::Expired => format!("expired {}", instant(key.expires_at)),
        KeyState::Active if key.expires_at.is_some() => {
            format!("valid until {}", instant(key.expires_at))
        }
        KeyState::Active => "valid".to_owned(),
    };
    let used = key
        .last_used_at
        .map_or("never used".to_owned(), |at| format!("used {}", crate::wire::instant(at)));
    let KeyInfo { id, prefix, queries_per_hour, name, .. } = key;
    let scopes = key.scopes.join(",");
    format!("{id}\t{prefix}\t{state}\t{queries_per_hour}/h\t{scopes}\t{used}\t{name}")
}

fn no_key(team: &Team, id: Uuid) -> String {
    let slug = &team.slug;
    format!("team {slug} has no key {id}: see tap-analytics keys list --team {slug}")
}

/// The id of a key, and not the key itself, which must not get into an error.
fn parse_id(text: &str) -> Result<Uuid, String> {
    Uuid::parse_str(text).map_err(|_| {
        "use the id of the key, a UUID that keys list shows first, and not the key itself"
            .to_owned()
    })
}

fn parse_overlap(text: &str) -> Result<TimeDelta, String> {
    if ["0", "0s", "0m", "0h", "0d"].contains(&text) {
        return Ok(TimeDelta::zero());
    }
    let span = parse_span(text).ok().filter(|span| *span <= OVERLAP_MAX);
    span.ok_or_else(|| "use 0 to 30d, such as 24h".to_owned())
}

fn generate(team: TeamId) -> anyhow::Result<ApiKey> {
    ApiKey::generate(team).context("the operating system has no randomness to give")
}

/// The team of this slug.
///
/// # Errors
/// When there is none, or the store cannot be read.
pub async fn find_team(db: &Db, slug: &str) -> anyhow::Result<Team> {
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
    let sound = (1..=NAME_CHARS_MAX).contains(&text.chars().count())
        && !text.trim().is_empty()
        && !text.chars().any(char::is_control);
    if sound {
        Ok(text.to_owned())
    } else {
        Err("use 1 to 200 characters, and none that control".to_owned())
    }
}

/// A span of the command line, such as `90d`.
pub(crate) fn parse_span(text: &str) -> Result<TimeDelta, String> {
    let unit = text.chars().last().unwrap_or_default();
    let digits = text.strip_suffix(unit).unwrap_or_default();
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
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
