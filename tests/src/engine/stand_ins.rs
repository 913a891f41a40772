//! Images made here under the names of public ones, which no registry can deliver to a machine without one.
//!
//! They are made of Debian 13 by debootstrap and of this machine's own toolchain. `tests/containers/stand_ins/` says
//! what each stands in for, and how it differs.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Engine, checkout, printed};

/// Where Debian is fetched from; apt and debootstrap check its signatures.
pub(super) const MIRROR: &str = "http://deb.debian.org/debian";

/// Debian 13.
pub(super) const SUITE: &str = "trixie";

/// The keys of Debian's archive.
pub(super) const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

const DEBIAN: &str = "parking-cqrs-test/debian";
const TOOLCHAIN: &str = "parking-cqrs-test/toolchain";

/// The certificates that this machine trusts, whose own ones may be those of a proxy.
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The files that make the stand-ins.
const SOURCES: [&str; 4] = ["Dockerfile", "images.yml", "postgres.sh", "rabbitmq.sh"];

/// Makes the images that are missing or older than what they are made of.
///
/// # Errors
/// Debian or the toolchain cannot be had, or a build fails.
pub fn make(engine: &Engine, cache: &Path) -> Result<()> {
    let (images, toolchain) = (public_images()?, toolchain()?);
    // Debian and the toolchain take most of the time, and a change of the other files concerns neither.
    let bases = bases_fingerprint(&toolchain)?;
    let made_of = fingerprint(&images, &bases)?;
    remake(engine, &cache.join("data/stand-in-bases"), &bases, &[DEBIAN, TOOLCHAIN], || {
        import_debian(engine, cache)?;
        import_toolchain(engine, cache, &toolchain)
    })?;
    let names: Vec<&str> = images.values().map(String::as_str).collect();
    remake(engine, &cache.join("data/stand-ins"), &made_of, &names, || {
        let mut build = engine.docker(&["compose", "--file"]);
        build.arg(folder().join("images.yml")).args(["--progress", "plain", "build"]);
        for (stand_in, image) in &images {
            build.env(format!("{}_IMAGE", stand_in.to_uppercase().replace('-', "_")), image);
        }
        printed(&mut build).map(drop).context("cannot build the stand-ins")
    })
}

/// Makes these images, unless they are there and the file `stamp` says that they are made of the same.
fn remake(
    engine: &Engine,
    stamp: &Path,
    made_of: &str,
    images: &[&str],
    make: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let are_there = images.iter().all(|image| engine.run(&["image", "inspect", image]).is_ok());
    if are_there && fs::read_to_string(stamp).is_ok_and(|stamp| stamp == made_of) {
        return Ok(());
    }
    make()?;
    fs::write(stamp, made_of).with_context(|| format!("cannot write {}", stamp.display()))
}

fn folder() -> PathBuf {
    checkout().join("tests/containers/stand_ins")
}

/// The public images that the project's files name, by the stand-in for each: the last part of the name, without tag.
///
/// # Errors
/// A file is not what it is taken for.
pub fn public_images() -> Result<BTreeMap<String, String>> {
    let compose: Value = serde_saphyr::from_str(&fs::read_to_string(checkout().join("compose/cqrs.yml"))?)?;
    let services = compose["services"].as_object().context("no services")?;
    let pulled = services.values().filter(|service| service["build"].is_null());
    let mut names: BTreeSet<String> =
        pulled.filter_map(|service| service["image"].as_str()).map(str::to_owned).collect();
    let dockerfile = fs::read_to_string(checkout().join("compose/Dockerfile"))?;
    let bases = dockerfile.lines().filter_map(|line| line.strip_prefix("FROM ")?.split(' ').next());
    names.extend(bases.filter(|base| base.contains(':')).map(str::to_owned));
    let by_stand_in = names.into_iter().map(|name| {
        let last = name.rsplit('/').next().unwrap_or_default();
        (last.split(':').next().unwrap_or_default().to_owned(), name)
    });
    Ok(by_stand_in.collect())
}

/// The directory of the toolchain that the checkout asks for.
fn toolchain() -> Result<PathBuf> {
    let mut rustc = Command::new("rustc");
    rustc.args(["--print", "sysroot"]).current_dir(checkout());
    Ok(PathBuf::from(printed(&mut rustc)?.trim()))
}

/// Changes when anything changes that the stand-ins are made of.
fn fingerprint(images: &BTreeMap<String, String>, bases: &str) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    images.hash(&mut hasher);
    for source in SOURCES {
        fs::read(folder().join(source)).context(source)?.hash(&mut hasher);
    }
    bases.hash(&mut hasher);
    Ok(format!("{:016x}", hasher.finish()))
}

/// Changes when Debian or the toolchain is another one.
fn bases_fingerprint(toolchain: &Path) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    SUITE.hash(&mut hasher);
    printed(Command::new(toolchain.join("bin/rustc")).arg("-vV"))?.hash(&mut hasher);
    fs::read(CERTIFICATES).unwrap_or_default().hash(&mut hasher);
    cargo_settings().map(fs::read).transpose()?.hash(&mut hasher);
    Ok(format!("{:016x}", hasher.finish()))
}

/// This machine's settings of cargo, such as a mirror of the registry, if it has any.
fn cargo_settings() -> Option<PathBuf> {
    let home = env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"));
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or(home)?;
    Some(home.join("config.toml")).filter(|settings| settings.is_file())
}

fn import_debian(engine: &Engine, cache: &Path) -> Result<()> {
    let tree = cache.join("debian");
    let _ = fs::remove_dir_all(&tree);
    let mut debootstrap = Command::new("debootstrap");
    debootstrap.args(["--variant=minbase", "--include=ca-certificates"]);
    debootstrap.arg(format!("--keyring={KEYRING}")).arg(SUITE).arg(&tree).arg(MIRROR);
    printed(&mut debootstrap).context("cannot make Debian 13")?;
    for kept in ["var/cache/apt/archives", "var/lib/apt/lists"] {
        fs::remove_dir_all(tree.join(kept))?;
        fs::create_dir_all(tree.join(kept).join("partial"))?;
    }
    let mut tar = Command::new("tar");
    tar.arg("--directory").arg(&tree).args(["--create", "."]);
    import(engine, &mut tar, DEBIAN)?;
    fs::remove_dir_all(&tree).with_context(|| format!("cannot remove {}", tree.display()))
}

/// Only what compiles: no documentation.
fn import_toolchain(engine: &Engine, cache: &Path, toolchain: &Path) -> Result<()> {
    let settings = cache.join("toolchain");
    let _ = fs::remove_dir_all(&settings);
    fs::create_dir_all(settings.join("etc"))?;
    fs::create_dir_all(settings.join("cargo"))?;
    fs::copy(CERTIFICATES, settings.join("etc/certificates.crt")).context(CERTIFICATES)?;
    if let Some(own) = cargo_settings() {
        fs::copy(own, settings.join("cargo/config.toml"))?;
    }
    let mut tar = Command::new("tar");
    tar.args(["--create", "--directory"]).arg(toolchain).args(["bin/cargo", "bin/rustc", "lib"]);
    tar.arg("--directory").arg(&settings).args(["etc", "cargo"]);
    import(engine, &mut tar, TOOLCHAIN)
}

fn import(engine: &Engine, tar: &mut Command, image: &str) -> Result<()> {
    let mut tar = tar.stdout(Stdio::piped()).spawn().context("cannot run tar")?;
    let archive = tar.stdout.take().context("no standard output")?;
    printed(engine.docker(&["import", "-", image]).stdin(archive))?;
    ensure!(tar.wait()?.success(), "tar failed for {image}");
    Ok(())
}
