//! The servers' programs on this machine.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::account::SYSTEM_PATH;

/// Older servers lack what the services' SQL uses.
const OLDEST_POSTGRES: u32 = 14;

const POSTGRES_PROGRAMS: [&str; 3] = ["postgres", "initdb", "psql"];

/// Where the programs of the databases and of the broker were found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Programs {
    /// The directory of `postgres`, `initdb` and `psql`.
    pub postgres: PathBuf,
    /// The directory of the broker's own `rabbitmq-server`. Debian puts a wrapper on the PATH, which would change
    /// user and directory.
    pub rabbitmq: PathBuf,
    /// Erlang's port mapper.
    pub epmd: PathBuf,
    /// nginx, which only a gateway needs.
    #[serde(default)]
    pub nginx: Option<PathBuf>,
}

/// Which programs must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Those of databases and broker.
    Servers,
    /// nginx too.
    ServersAndGateway,
    /// wrk too, which sends the load of the benchmark.
    ServersAndLoad,
}

/// Packages that are missing, by their Debian names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing(pub Vec<&'static str>);

impl Programs {
    /// Looks where Debian and Ubuntu install them, then on the PATH.
    pub fn find(wanted: Wanted) -> Result<Self, Missing> {
        let broker = find_rabbitmq().zip(find_on_path("epmd").or_else(find_bundled_epmd));
        // Debian has it in /usr/sbin, where the PATH of a user does not lead.
        let nginx = find_on_path("nginx");
        let lacks_nginx = wanted == Wanted::ServersAndGateway && nginx.is_none();
        let lacks_wrk = wanted == Wanted::ServersAndLoad && find_on_path("wrk").is_none();
        match (find_postgres(), broker) {
            (Some(postgres), Some((rabbitmq, epmd))) if !lacks_nginx && !lacks_wrk => {
                Ok(Self { postgres, rabbitmq, epmd, nginx })
            }
            (postgres, broker) => {
                let packages = [
                    ("postgresql", postgres.is_none()),
                    ("rabbitmq-server", broker.is_none()),
                    ("nginx", lacks_nginx),
                    ("wrk", lacks_wrk),
                ];
                Err(Missing(
                    packages.into_iter().filter(|(_, missing)| *missing).map(|(name, _)| name).collect(),
                ))
            }
        }
    }
}

fn find_postgres() -> Option<PathBuf> {
    let complete =
        |directory: &PathBuf| POSTGRES_PROGRAMS.iter().all(|program| directory.join(program).is_file());
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions
        .filter_map(|entry| {
            Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path().join("bin")))
        })
        .filter(|(version, directory)| *version >= OLDEST_POSTGRES && complete(directory))
        .max_by_key(|(version, _)| *version);
    newest.map(|(_, directory)| directory).or_else(|| {
        let directory = fs::canonicalize(find_on_path("postgres")?).ok()?.parent()?.to_path_buf();
        complete(&directory).then_some(directory)
    })
}

fn find_rabbitmq() -> Option<PathBuf> {
    let debian = PathBuf::from("/usr/lib/rabbitmq/bin");
    if debian.join("rabbitmq-server").is_file() {
        return Some(debian);
    }
    let own = |directory: &PathBuf| {
        directory.join("rabbitmq-server").is_file() && directory.join("rabbitmq-defaults").is_file()
    };
    let found = fs::canonicalize(find_on_path("rabbitmq-server")?).ok()?.parent()?.to_path_buf();
    own(&found).then_some(found)
}

fn find_bundled_epmd() -> Option<PathBuf> {
    let bundled = Path::new("/usr/lib/erlang/bin/epmd");
    bundled.is_file().then(|| bundled.to_path_buf())
}

fn find_on_path(program: &str) -> Option<PathBuf> {
    let caller = env::var_os("PATH").unwrap_or_default();
    let system = env::split_paths(SYSTEM_PATH);
    env::split_paths(&caller)
        .chain(system)
        .map(|directory| directory.join(program))
        .find(|path| path.is_file())
}
