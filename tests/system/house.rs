//! The size of files and the names in the services: a file is read at once, and a name has one meaning.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result, ensure};

const SERVICES: [&str; 3] = ["shared", "command-service", "event-consumer"];

/// No file of the services is longer.
const FILE_MAX_LINES: usize = 300;

/// A file of more lines than this is an exception.
const LONG_FILE_LINES: usize = 200;

const LONG_FILES_MAX: usize = 20;

/// Both services have one, and it means the same in each.
const IN_BOTH_SERVICES: [&str; 6] =
    ["Application", "Cli", "CliError", "Dependencies", "Settings", "Subcommands"];

/// Each room has one, and it means the same in each: what is wired together, a session with its statements, why a step
/// failed. `Param` is the parameter of a statement.
const IN_EVERY_ROOM: [&str; 3] = ["mod.rs", "session.rs", "fault.rs"];

struct Source {
    member: &'static str,
    path: String,
    text: String,
}

fn sources() -> Result<Vec<Source>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no checkout")?;
    let mut sources = Vec::new();
    for member in SERVICES {
        let mut folders = vec![root.join(member).join("src")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let text = fs::read_to_string(&path)?;
                    let path = path.strip_prefix(root)?.to_string_lossy().into_owned();
                    sources.push(Source { member, path, text });
                }
            }
        }
    }
    ensure!(sources.len() > 100, "these are not the sources");
    Ok(sources)
}

/// The names of the types that a source defines.
fn types_in(text: &str) -> impl Iterator<Item = &str> {
    let product = text.split("#[cfg(test)]").next().unwrap_or_default();
    product.lines().filter_map(|line| {
        let line = line.trim_start();
        let line = line
            .strip_prefix("pub ")
            .or_else(|| Some(line.strip_prefix("pub(")?.split_once(") ")?.1))
            .unwrap_or(line);
        let (kind, rest) = line.split_once(' ')?;
        let name = rest.split(|letter: char| !letter.is_alphanumeric()).next()?;
        let is_type = ["struct", "enum", "trait", "type"].contains(&kind);
        // An associated type is named by its trait.
        (is_type && !(kind == "type" && text.contains(&format!("    type {name} = ")))).then_some(name)
    })
}

#[test]
fn few_files_are_long_and_none_is_longer_than_can_be_read_at_once() -> Result<()> {
    let mut long: Vec<(usize, String)> = sources()?
        .into_iter()
        .map(|source| (source.text.lines().count(), source.path))
        .filter(|(lines, _)| *lines > LONG_FILE_LINES)
        .collect();
    long.sort();

    let longest = long.last().map_or(0, |(lines, _)| *lines);
    println!("{} files of more than {LONG_FILE_LINES} lines, the longest of {longest}", long.len());
    assert!(long.len() <= LONG_FILES_MAX, "{long:#?}");
    assert!(longest <= FILE_MAX_LINES, "{:?}", long.last());
    Ok(())
}

#[test]
fn a_type_has_a_name_of_its_own() -> Result<()> {
    let sources = sources()?;
    let mut places: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for source in &sources {
        types_in(&source.text).for_each(|name| places.entry(name).or_default().push(&source.path));
    }
    ensure!(places.len() > 200, "only {} types: are they looked for in the right way?", places.len());

    places.retain(|name, paths| paths.len() > 1 && !IN_BOTH_SERVICES.contains(name) && *name != "Param");

    assert!(places.is_empty(), "one name, several meanings: {places:#?}");
    Ok(())
}

#[test]
fn a_file_has_a_name_of_its_own_in_its_crate() -> Result<()> {
    let sources = sources()?;
    let mut places: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for source in &sources {
        let file = source.path.rsplit('/').next().unwrap_or_default();
        places.entry((source.member, file)).or_default().push(&source.path);
    }

    places.retain(|(_, file), paths| paths.len() > 1 && !IN_EVERY_ROOM.contains(file));

    assert!(places.is_empty(), "one name, several meanings: {places:#?}");
    Ok(())
}

#[test]
fn types_are_told_from_what_resembles_them() {
    let text = "pub(super) struct One;\nenum Two {\n    type Error = ();\npub type Error = ();\n// struct Three\nlet x = y;\n\
                #[cfg(test)]\nstruct Four;";
    assert_eq!(types_in(text).collect::<Vec<_>>(), ["One", "Two"]);
}
