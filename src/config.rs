//! Every setting, with its default, unit and meaning. `--help` and the table in the README say the
//! same, as a test compares them.

#![expect(clippy::doc_markdown, reason = "these comments are the text of --help")]

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use chrono::TimeDelta;
use clap::{Args, ValueEnum};
use http::HeaderName;

use crate::{
    dialogs::pending::Limits,
    imports::{budget, parts::Settings},
    tags::address::Origin,
    taps::model::Retention,
};

/// Where the store is. Needed by every command but `descriptors` and `ready`.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Store {
    /// The PostgreSQL database, as an administrator reaches it. `migrate` connects as this role; the
    /// other commands connect to the same database as `tap_app` and `tap_system`.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub database_url: String,

    /// Password of the role `tap_app`. `migrate` sets it, the other commands use it. Not needed
    /// where PostgreSQL trusts the connection.
    #[arg(long, env = "TAP_DB_APP_PASSWORD", hide_env_values = true, value_name = "PASSWORD")]
    pub db_app_password: Option<String>,

    /// Password of the role `tap_system`. `migrate` sets it, the other commands use it. Not needed where
    /// PostgreSQL trusts the connection.
    #[arg(long, env = "TAP_DB_SYSTEM_PASSWORD", hide_env_values = true, value_name = "PASSWORD")]
    pub db_system_password: Option<String>,

    /// Connections that each of the two roles keeps at most, and twenty-three more of one of them for events,
    /// redemptions, dialogs and imports.
    #[arg(long, env = "TAP_DB_POOL_SIZE", default_value_t = 16, value_name = "COUNT",
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub db_pool_size: u16,

    /// How long one statement may run, in milliseconds, before PostgreSQL ends it.
    #[arg(long, env = "TAP_DB_STATEMENT_TIMEOUT_MS", default_value_t = 10_000, value_name = "MS")]
    pub db_statement_timeout_ms: u32,
}

/// How the service is run.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Serve {
    /// Address to listen on. Keep it private: only Envoy should be public.
    #[arg(long, env = "TAP_HOST", default_value = "127.0.0.1", value_name = "ADDRESS")]
    pub host: IpAddr,

    /// Port of the gRPC services.
    #[arg(long, env = "TAP_GRPC_PORT", default_value_t = 50051, value_name = "PORT")]
    pub grpc_port: u16,

    /// Port of /healthz, /readyz and /metrics. Keep it private.
    #[arg(long, env = "TAP_ADMIN_PORT", default_value_t = 9464, value_name = "PORT")]
    pub admin_port: u16,

    /// Memory for answers that are kept, in MiB. 0 keeps none.
    #[arg(long, env = "TAP_CACHE_MIB", default_value_t = 64, value_name = "MIB")]
    pub cache_mib: u32,

    /// How long a query may take, in milliseconds, before the caller gets DEADLINE_EXCEEDED.
    #[arg(long, env = "TAP_QUERY_TIMEOUT_MS", default_value_t = 15_000, value_name = "MS")]
    pub query_timeout_ms: u32,

    /// How long to go on serving after a signal to stop, in milliseconds, so that load balancers see
    /// the health check fail first.
    #[arg(long, env = "TAP_DRAIN_MS", default_value_t = 0, value_name = "MS")]
    pub drain_ms: u32,

    /// How long calls in flight may take to end after that, in milliseconds.
    #[arg(long, env = "TAP_STOP_MS", default_value_t = 20_000, value_name = "MS")]
    pub stop_ms: u32,

    /// Days for which taps are kept, 30 at least; 0 keeps them for ever. Months that are wholly older are
    /// dropped, and taps that are older are not taken.
    #[arg(long, env = "TAP_RETENTION_DAYS", default_value_t = 0, value_name = "DAYS",
          value_parser = parse_days)]
    pub retention_days: u32,

    /// Name of the header in which a proxy in front of Envoy, that nobody can go round, says the country
    /// of a caller, such as cf-ipcountry. Without it taps of the tap URL have no country.
    #[arg(long, env = "TAP_COUNTRY_HEADER", value_name = "HEADER")]
    pub country_header: Option<HeaderName>,

    /// Where the public reaches the tap URL, such as `https://t.example.com`: what chips and codes are given.
    /// Without it a tag shows its path alone, and a QR code has the address by which it was asked for.
    #[arg(long, env = "TAP_PUBLIC_URL", value_name = "URL", value_parser = Origin::parse_setting)]
    pub public_url: Option<Origin>,

    /// Tags that a team may have, archived ones included. seed is not held to it.
    #[arg(long, env = "TAP_TEAM_TAGS_MAX", default_value_t = 100_000, value_name = "COUNT",
          value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub team_tags_max: u32,

    /// Events of a team that may wait to be stored. With more of them RecordEvents is refused.
    #[arg(long, env = "TAP_EVENT_BACKLOG_MAX", default_value_t = 1_000_000, value_name = "COUNT",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub event_backlog_max: u32,

    /// Coupons that a team may have, archived ones included. seed is not held to it.
    #[arg(long, env = "TAP_TEAM_COUPONS_MAX", default_value_t = 100_000, value_name = "COUNT",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub team_coupons_max: u32,

    /// Memory for messages that wait for consent, of all teams, in MiB. Beyond it RecordMessage is refused.
    #[arg(long, env = "TAP_PENDING_MIB", default_value_t = 256, value_name = "MIB",
          value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    pub pending_mib: u32,

    /// The same of one team.
    #[arg(long, env = "TAP_TEAM_PENDING_MIB", default_value_t = 64, value_name = "MIB",
          value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    pub team_pending_mib: u32,

    /// How long messages wait for consent after the last one of their dialog, in seconds. Then they are wiped.
    #[arg(long, env = "TAP_PENDING_IDLE_S", default_value_t = 1_800, value_name = "SECONDS",
          value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub pending_idle_s: u32,

    /// Memory for imports of all teams, in MiB. Beyond it UploadImport is refused. One team may have half of it.
    #[arg(long, env = "TAP_IMPORTS_MIB", default_value_t = 512, value_name = "MIB",
          value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    pub imports_mib: u32,

    /// The same of one import.
    #[arg(long, env = "TAP_IMPORT_MIB", default_value_t = 128, value_name = "MIB",
          value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    pub import_mib: u32,

    /// How long an import is held after somebody last came for it, in seconds. Then it is forgotten.
    #[arg(long, env = "TAP_IMPORT_IDLE_S", default_value_t = 3_600, value_name = "SECONDS",
          value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub import_idle_s: u32,

    /// Users that a team may have.
    #[arg(long, env = "TAP_TEAM_USERS_MAX", default_value_t = 1_000_000, value_name = "COUNT",
          value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    pub team_users_max: u32,

    /// Proxies in front of Envoy, each of which adds the address of its caller to x-forwarded-for. By that
    /// address whoever tries keys is slowed down.
    #[arg(long, env = "TAP_PROXIES", default_value_t = 0, value_name = "COUNT")]
    pub proxies: u8,

    /// Whether gRPC reflection is served, for grpcurl and the like.
    #[arg(long, env = "TAP_REFLECTION", default_value_t = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub reflection: bool,
}

fn bytes(mib: u32) -> usize {
    usize::try_from(u64::from(mib) << 20).unwrap_or(usize::MAX)
}

fn parse_days(text: &str) -> Result<u32, String> {
    let days = text.parse().ok().filter(|days| *days == 0 || (30..=36_500).contains(days));
    days.ok_or_else(|| "write 30 to 36500, or 0 to keep taps for ever".to_owned())
}

/// How the program speaks of what it does.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub struct Logs {
    /// What to log: a level, or directives such as `info,tap_analytics=debug`.
    #[arg(long, env = "TAP_LOG", default_value = "info", value_name = "FILTER", global = true)]
    pub log: String,

    /// How to write the log.
    #[arg(
        long,
        env = "TAP_LOG_FORMAT",
        default_value = "text",
        value_enum,
        value_name = "FORMAT",
        global = true
    )]
    pub log_format: LogFormat,
}

/// How to write the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A JSON object a line.
    Json,
    /// For people.
    Text,
}

impl Serve {
    /// Where the gRPC services listen.
    #[must_use]
    pub fn grpc_addr(&self) -> SocketAddr {
        SocketAddr::new(self.host, self.grpc_port)
    }

    /// Where health and metrics are served.
    #[must_use]
    pub fn admin_addr(&self) -> SocketAddr {
        SocketAddr::new(self.host, self.admin_port)
    }

    /// The oldest tap that is kept at an instant.
    #[must_use]
    pub fn retention(&self) -> Retention {
        Retention((self.retention_days > 0).then(|| TimeDelta::days(self.retention_days.into())))
    }

    /// Tags that a team may have.
    #[must_use]
    pub fn tags_max(&self) -> usize {
        usize::try_from(self.team_tags_max).unwrap_or(usize::MAX)
    }

    /// How long a query may take.
    #[must_use]
    pub fn query_timeout(&self) -> Duration {
        Duration::from_millis(self.query_timeout_ms.into())
    }

    /// How much imports may hold, and for how long.
    #[must_use]
    pub fn imports(&self) -> Settings {
        Settings {
            limits: budget::Limits {
                import_bytes: bytes(self.import_mib),
                bytes: bytes(self.imports_mib),
            },
            idle: TimeDelta::seconds(self.import_idle_s.into()),
            users_max: self.team_users_max.into(),
        }
    }

    /// How much may wait for consent, and for how long.
    #[must_use]
    pub fn pending(&self) -> Limits {
        Limits {
            team_bytes: bytes(self.team_pending_mib),
            bytes: bytes(self.pending_mib),
            idle: TimeDelta::seconds(self.pending_idle_s.into()),
        }
    }

    /// Memory for answers, in bytes.
    #[must_use]
    pub fn cache_bytes(&self) -> u64 {
        u64::from(self.cache_mib) * 1024 * 1024
    }
}
