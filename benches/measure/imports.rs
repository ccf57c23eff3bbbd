//! Imports: a workbook of users until it is checked, beside openpyxl, which reads its cells and does nothing with them,
//! and until it is stored, beside statements in the same table; what that takes of memory, and what hostile files cost.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use futures_util::{future::try_join_all, stream};
use tap_analytics::{
    access::model::Preset,
    config,
    ids::TeamId,
    imports::sample,
    proto::{
        HttpBody,
        tap_v1::{
            CancelImportRequest, CommitImportRequest, CommitImportResponse, GetImportRequest,
            Import, ImportPlan, ListImportRowsRequest, UploadImportRequest, commit_mode,
            import_kind, import_state, imports_client::ImportsClient,
        },
    },
};
use tokio::time;
use tonic::{
    Code, Request, Status,
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};

use super::{
    TEAM, Times, hostile, millis,
    openpyxl::Openpyxl,
    postgres::{Postgres, connect},
    process::{self, Program},
    progress,
    report::{Report, Row},
    serve,
    users::{Users, Way},
};

const SEED: u64 = 1;
/// Bytes of a message.
const PIECE: usize = 1 << 20;
/// How often to look whether it is checked.
const LOOK: Duration = Duration::from_millis(3);
const PAGE: u32 = 100;
/// Uploads at a time, of so many teams.
const AT_ONCE: usize = 8;
const TEAMS: usize = 4;
/// How often a hostile file is sent.
const TIMES_HOSTILE: usize = 3;

/// How much to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) rows: usize,
    /// Each with a service and a database of its own. The times that are told are in the middle.
    pub(crate) runs: u32,
    /// Rows that are inserted one by one.
    pub(crate) alone: usize,
    /// Of each page.
    pub(crate) calls: u32,
}

/// Adds the rows.
pub(crate) async fn measure(
    postgres: &Postgres,
    size: Size,
    report: &mut Report,
) -> anyhow::Result<()> {
    progress(format!("a workbook of {} users", size.rows));
    let file = Bytes::from(sample::write_users_xlsx(size.rows, SEED)?);
    let openpyxl = Openpyxl::new(&file)?;
    let mut took = Took::default();
    let mut store = None;
    for run in 1..=size.runs {
        progress(format!("importing it, {run} of {}", size.runs));
        took.openpyxl.push(openpyxl.read((size.rows + 1) * 5).await?);
        store = Some(took.run(postgres, size, &file).await?);
    }
    let store = store.context("nothing was imported")?;
    progress("the same rows by statements");
    let bare = Bare::of(&store, size).await?;
    postgres.drop_database(&store).await?;
    took.report(size, &bare, report);
    at_once(postgres, size, &file, report).await?;
    refusals(postgres, report).await
}

fn shown(times: &Times) -> String {
    let at = |percent| millis(times.percentile(percent));
    format!("p50 {:.2} ms, p99 {:.2} ms", at(50), at(99))
}

/// The time in the middle.
fn middle(times: &[Duration]) -> Duration {
    Times::new(times.to_vec()).percentile(50)
}

fn faster(time: Duration, beside: Duration) -> String {
    format!("{:.1} times faster", beside.as_secs_f64() / time.as_secs_f64())
}

/// A database with teams, and the program on it, when it has settled.
async fn start(postgres: &Postgres) -> anyhow::Result<(config::Store, Program, String)> {
    let store = postgres.create_database("imports").await?;
    connect(&store).await?.batch_execute(include_str!("../sql/load_teams.sql")).await?;
    let (program, _, grpc) = process::start(&store).await?;
    time::sleep(process::SETTLE).await;
    Ok((store, program, grpc))
}

/// What the runs took.
#[derive(Debug, Default)]
struct Took {
    openpyxl: Vec<Duration>,
    check: Vec<Duration>,
    commit: Vec<Duration>,
    check_again: Vec<Duration>,
    commit_again: Vec<Duration>,
    over_idle_mib: Vec<f64>,
    pages: Vec<(u32, Vec<Duration>)>,
    file_mib: f64,
    stored: f64,
}

impl Took {
    /// Imports a file twice, into a new database.
    async fn run(
        &mut self,
        postgres: &Postgres,
        size: Size,
        file: &Bytes,
    ) -> anyhow::Result<config::Store> {
        let (store, program, grpc) = start(postgres).await?;
        let client = Client::connect(&store, TEAM, &grpc).await?;
        let idle = process::resident_mib(&program)?;
        process::forget_peak(&program)?;

        let (first, check) = client.upload("users.xlsx", file).await?;
        let (stored, commit) = client.commit(&ready(first)?).await?;
        self.over_idle_mib.push(process::peak_mib(&program)? - idle);
        let plan = stored.result.unwrap_or_default();
        ensure!(plan.insert > 0.0, "nothing was stored");
        (self.stored, self.file_mib) = (plan.insert, mib(file.len()));

        let (second, check_again) = client.upload("users.xlsx", file).await?;
        let second = ready(second)?;
        let there = ImportPlan { unchanged: plan.insert, ..ImportPlan::default() };
        ensure!(second.plan == Some(there), "they are not known again: {:?}", second.plan);
        let last = u32::try_from(size.rows)? / PAGE * 9 / 10;
        for page in [1, last] {
            let times = client.page(&second, page, size.calls).await?;
            match self.pages.iter_mut().find(|(at, _)| *at == page) {
                Some((_, all)) => all.extend(times),
                None => self.pages.push((page, times)),
            }
        }
        let (again, commit_again) = client.commit(&second).await?;
        ensure!(again.result == Some(there), "they were stored again: {:?}", again.result);

        self.check.push(check);
        self.commit.push(commit);
        self.check_again.push(check_again);
        self.commit_again.push(commit_again);
        progress(format!(
            "checked {:.0} ms, stored {:.0} ms, again {:.0} ms and {:.0} ms, {:.1} MiB over idle",
            millis(check),
            millis(commit),
            millis(check_again),
            millis(commit_again),
            self.over_idle_mib.last().copied().unwrap_or_default()
        ));
        Ok(store)
    }

    fn report(&self, size: Size, bare: &Bare, report: &mut Report) {
        let Size { rows, runs, .. } = size;
        let time = |times: &[Duration]| format!("{:.0} ms", millis(middle(times)));
        let (check, openpyxl) = (middle(&self.check), middle(&self.openpyxl));
        report.add(Row {
            work: format!(
                "UploadImport of {rows} rows, {:.1} MiB, until it is READY: in the middle of {runs} runs",
                self.file_mib
            ),
            measured: time(&self.check),
            baseline: format!("openpyxl, reading the cells {:.0} ms", millis(openpyxl)),
            ratio: faster(check, openpyxl),
            target: "at most 1.5 s",
        });
        let commit = middle(&self.commit);
        for (baseline, beside) in bare.beside(commit) {
            let ratio = if beside > commit {
                faster(commit, beside)
            } else {
                format!("{:.2} times slower", commit.as_secs_f64() / beside.as_secs_f64())
            };
            report.add(Row {
                work: format!("CommitImport of it, {:.0} users", self.stored),
                measured: time(&self.commit),
                baseline,
                ratio,
                target: "at most 1.5 s",
            });
        }
        report.add(Row {
            work: format!("its statements alone, with arrays of {}", super::users::BATCH),
            measured: format!("{:.0} ms", millis(middle(&bare.arrays))),
            baseline: format!(
                "COPY into a temporary table, and INSERT from it {:.0} ms",
                millis(middle(&bare.copy))
            ),
            ratio: format!(
                "{:.0} %",
                100.0 * middle(&bare.copy).as_secs_f64() / middle(&bare.arrays).as_secs_f64()
            ),
            ..Row::default()
        });
        let most = self.over_idle_mib.iter().copied().fold(0.0, f64::max);
        report.add(Row {
            work: "memory of both, at most".to_owned(),
            measured: format!("{most:.0} MiB over idle"),
            target: "at most 150 MiB",
            ..Row::default()
        });
        report.add(Row {
            work: "UploadImport of it again, against all that is stored".to_owned(),
            measured: time(&self.check_again),
            ..Row::default()
        });
        report.add(Row {
            work: "CommitImport of that, in which nothing is new".to_owned(),
            measured: time(&self.commit_again),
            ..Row::default()
        });
        for (page, times) in &self.pages {
            report.add(Row {
                work: format!("ListImportRows, page {page}, {PAGE} a page, {rows} rows"),
                measured: shown(&Times::new(times.clone())),
                ..Row::default()
            });
        }
    }
}

fn ready(import: Import) -> anyhow::Result<Import> {
    let state = import.state();
    ensure!(
        state == import_state::Value::Ready,
        "it is {}: {:?}",
        state.as_str_name(),
        import.errors
    );
    Ok(import)
}

#[expect(clippy::cast_precision_loss, reason = "it is shown with one digit")]
fn mib(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// What statements took for the same rows.
#[derive(Debug, Default)]
struct Bare {
    rows: usize,
    alone: usize,
    arrays: Vec<Duration>,
    copy: Vec<Duration>,
    /// Scaled to all of the rows.
    one_transaction: Duration,
    many_transactions: Duration,
}

impl Bare {
    async fn of(store: &config::Store, size: Size) -> anyhow::Result<Self> {
        let users = Users::read(store).await?;
        let mut bare = Self { rows: users.len(), alone: size.alone, ..Self::default() };
        for _ in 0..=size.runs {
            bare.arrays.push(users.insert(Way::Arrays).await?);
            bare.copy.push(users.insert(Way::Copy).await?);
        }
        // The first ones have warmed up.
        bare.arrays.remove(0);
        bare.copy.remove(0);
        let all = |time: Duration| {
            let [rows, alone] = [users.len(), size.alone].map(u32::try_from);
            anyhow::Ok(time * rows? / alone?.max(1))
        };
        let alone = |transactions| Way::Alone { rows: size.alone, transactions };
        bare.one_transaction = all(users.insert(alone(false)).await?)?;
        bare.many_transactions = all(users.insert(alone(true)).await?)?;
        Ok(bare)
    }

    /// What to show beside a commit that took so long.
    fn beside(&self, commit: Duration) -> [(String, Duration); 3] {
        let Self { rows, alone, one_transaction, many_transactions, .. } = self;
        let scaled = |time: &Duration| format!("{:.0} ms, by {alone} of {rows}", millis(*time));
        // The commit with the other way of inserting, and all else as it is.
        let by_copy = commit.saturating_sub(middle(&self.arrays)) + middle(&self.copy);
        [
            (
                format!("an INSERT for each, in one transaction {}", scaled(one_transaction)),
                *one_transaction,
            ),
            (
                format!("an INSERT for each, each a transaction {}", scaled(many_transactions)),
                *many_transactions,
            ),
            (
                format!(
                    "the same, if COPY and INSERT were in the place of arrays {:.0} ms",
                    millis(by_copy)
                ),
                by_copy,
            ),
        ]
    }
}

/// Several at a time.
async fn at_once(
    postgres: &Postgres,
    size: Size,
    file: &Bytes,
    report: &mut Report,
) -> anyhow::Result<()> {
    progress(format!("{AT_ONCE} at once"));
    let (store, program, grpc) = start(postgres).await?;
    let mut clients = Vec::new();
    for team in (1..=TEAMS).cycle().take(AT_ONCE) {
        clients.push(Client::connect(&store, TeamId(i32::try_from(team)?), &grpc).await?);
    }
    let idle = process::resident_mib(&program)?;
    process::forget_peak(&program)?;
    let start = Instant::now();
    let uploads = clients.iter().map(|client| client.upload("users.xlsx", file));
    for (import, _) in try_join_all(uploads).await? {
        ready(import)?;
    }
    let elapsed = start.elapsed();
    let most = process::peak_mib(&program)? - idle;
    time::sleep(process::SETTLE).await;
    let held = process::resident_mib(&program)? - idle;
    report.add(Row {
        work: format!(
            "{AT_ONCE} such uploads at once, of {TEAMS} teams, {} rows each, until all are READY",
            size.rows
        ),
        measured: format!(
            "{:.0} ms, at most {most:.0} MiB over idle; {held:.0} MiB while all are held",
            millis(elapsed)
        ),
        target: "TAP_IMPORTS_MIB is 512",
        ..Row::default()
    });
    drop((program, clients));
    postgres.drop_database(&store).await
}

/// Hostile files, until they are refused or their rows are marked.
async fn refusals(postgres: &Postgres, report: &mut Report) -> anyhow::Result<()> {
    progress("hostile files");
    let (store, program, grpc) = start(postgres).await?;
    let client = Client::connect(&store, TEAM, &grpc).await?;
    for (files, what) in [
        (hostile::small(), "hostile files of the tests"),
        (hostile::large(), "files of 20 MiB of garbage as CSV"),
    ] {
        process::forget_peak(&program)?;
        let count = files.len();
        let mut slowest: Option<(Duration, &str)> = None;
        for file in files {
            let bytes = Bytes::from(file.bytes);
            let (mut times, mut outcome) = (Vec::new(), String::new());
            for _ in 0..TIMES_HOSTILE {
                let (became, time) = client.refused(file.filename, &bytes).await?;
                outcome = became;
                times.push(time);
            }
            let time = middle(&times);
            progress(format!("{}: {:.0} ms, {outcome}", file.what, millis(time)));
            slowest = slowest.max(Some((time, file.what)));
        }
        let (time, slow) = slowest.context("no hostile files")?;
        report.add(Row {
            work: format!("{count} {what}, one after another, the slowest of them: {slow}"),
            measured: format!(
                "{:.0} ms, at most {:.0} MiB resident",
                millis(time),
                process::peak_mib(&program)?
            ),
            target: "at most 1 s",
            ..Row::default()
        });
    }
    drop((program, client));
    postgres.drop_database(&store).await
}

/// A connection and a key.
#[derive(Clone, Debug)]
struct Client {
    service: ImportsClient<Channel>,
    key: MetadataValue<Ascii>,
}

impl Client {
    async fn connect(store: &config::Store, team: TeamId, grpc: &str) -> anyhow::Result<Self> {
        let key = serve::key_of_team(store, team, Preset::Admin).await?;
        let channel = Channel::from_shared(grpc.to_owned())?.tcp_nodelay(true).connect().await?;
        let client = Self { service: ImportsClient::new(channel), key };
        client.until_known().await?;
        Ok(client)
    }

    /// Waits until its key is known: the service hears of it some milliseconds after it was made.
    async fn until_known(&self) -> anyhow::Result<()> {
        for _ in 0..500 {
            let request = self.request(GetImportRequest::default());
            match self.service.clone().get_import(request).await {
                Err(unknown) if unknown.code() == Code::Unauthenticated => {
                    time::sleep(Duration::from_millis(10)).await;
                }
                _ => return Ok(()),
            }
        }
        bail!("the service does not get to know a key")
    }

    fn request<Message>(&self, message: Message) -> Request<Message> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("x-api-key", self.key.clone());
        request
    }

    /// Uploads a file, and waits until it is checked; how long that took.
    async fn upload(&self, filename: &str, file: &Bytes) -> Result<(Import, Duration), Status> {
        let mut pieces: Vec<UploadImportRequest> = (0..file.len())
            .step_by(PIECE)
            .map(|from| {
                let data = file.slice(from..file.len().min(from + PIECE));
                let file = Some(HttpBody { data, ..HttpBody::default() });
                UploadImportRequest { file, ..UploadImportRequest::default() }
            })
            .collect();
        if let Some(first) = pieces.first_mut() {
            first.kind = import_kind::Value::Users.into();
            filename.clone_into(&mut first.filename);
        }
        let mut service = self.service.clone();
        let start = Instant::now();
        let uploaded = service.upload_import(self.request(stream::iter(pieces))).await?;
        let mut import = uploaded.into_inner();
        while import.state() == import_state::Value::Checking {
            time::sleep(LOOK).await;
            let request = self.request(GetImportRequest { import_id: import.id });
            import = service.get_import(request).await?.into_inner();
        }
        Ok((import, start.elapsed()))
    }

    /// Stores the rows that are valid.
    async fn commit(&self, import: &Import) -> anyhow::Result<(CommitImportResponse, Duration)> {
        let request = self.request(CommitImportRequest {
            import_id: import.id.clone(),
            mode: commit_mode::Value::ValidOnly.into(),
            ..CommitImportRequest::default()
        });
        let start = Instant::now();
        let stored = self.service.clone().commit_import(request).await?;
        Ok((stored.into_inner(), start.elapsed()))
    }

    /// Gets a page so many times.
    async fn page(&self, import: &Import, page: u32, calls: u32) -> anyhow::Result<Vec<Duration>> {
        let mut service = self.service.clone();
        let mut request = ListImportRowsRequest {
            import_id: import.id.clone(),
            page_size: i32::try_from(PAGE)?,
            ..ListImportRowsRequest::default()
        };
        for _ in 1..page {
            let listed = service.list_import_rows(self.request(request.clone())).await?;
            request.page_token = listed.into_inner().next_page_token;
        }
        let mut times = Vec::new();
        for _ in 0..calls {
            let asked = self.request(request.clone());
            let start = Instant::now();
            let listed = service.list_import_rows(asked).await?;
            times.push(start.elapsed());
            let rows = listed.into_inner().rows.len();
            ensure!(rows == usize::try_from(PAGE)?, "page {page} has {rows} rows");
        }
        Ok(times)
    }

    /// What becomes of a hostile file, and how long that takes. Nothing of it is held afterwards.
    async fn refused(&self, filename: &str, file: &Bytes) -> anyhow::Result<(String, Duration)> {
        let start = Instant::now();
        let (import, time) = match self.upload(filename, file).await {
            Ok(uploaded) => uploaded,
            Err(status)
                if matches!(status.code(), Code::InvalidArgument | Code::ResourceExhausted) =>
            {
                return Ok((status.message().to_owned(), start.elapsed()));
            }
            Err(status) => return Err(status.into()),
        };
        let reason = import.errors.first().map(|bad| format!(" {}", bad.reason));
        let outcome = format!("{}{}", import.state().as_str_name(), reason.unwrap_or_default());
        let request = self.request(CancelImportRequest { import_id: import.id });
        self.service.clone().cancel_import(request).await?;
        Ok((outcome, time))
    }
}
