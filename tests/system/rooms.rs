//! Who may import whom. The sources are read as text: every `use` and every path that begins at a crate's root counts,
//! except inside a file's own tests.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

/// The rooms of each crate from the bottom up. A room imports only rooms that stand before it here; what stands in one
/// line together may not import each other either.
const ROOMS: [(&str, &[&str]); 3] = [
    (
        "shared",
        &[
            "slot",
            "position",
            "time",
            "document",
            "replica_name",
            "messages",
            "broker",
            "postgres",
            "process",
        ],
    ),
    (
        "command-service",
        &[
            "register",
            "commands",
            "primary",
            "write_model",
            "queries",
            "freshness",
            "relay",
            "verify",
            "roles",
            "settings",
            "access",
            "http",
            "startup",
            "cli",
            "main",
        ],
    ),
    (
        "event-consumer",
        &[
            "batch",
            "projection",
            "holes",
            "subscription",
            "rebuild",
            "settings",
            "probes",
            "startup",
            "cli",
            "main",
        ],
    ),
];

/// Imports by module path, of all files of one crate: `freshness::gate` imports `queries::status`.
type Imports = BTreeMap<String, BTreeSet<String>>;

fn crate_folder(member: &str) -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no checkout")?;
    Ok(root.join(member).join("src"))
}

/// The module of a file, as a path from the crate's root; that root itself is empty.
fn module_of(path: &str) -> String {
    let path = path.trim_end_matches(".rs");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    if path == "lib" { String::new() } else { path.replace('/', "::") }
}

/// The texts of the files of a crate, by module, without comments and without what is only compiled for tests.
fn modules(member: &str) -> Result<BTreeMap<String, String>> {
    let folder = crate_folder(member)?;
    let mut folders = vec![folder.clone()];
    let mut modules = BTreeMap::new();
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let text = fs::read_to_string(&path)?;
            let text = text.split("#[cfg(test)]").next().unwrap_or_default();
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            let name = path.strip_prefix(&folder)?.to_string_lossy().into_owned();
            modules.insert(module_of(&name), code.collect::<Vec<_>>().join("\n"));
        }
    }
    ensure!(!modules.is_empty(), "{member} has no sources");
    Ok(modules)
}

/// The paths that a tree of a `use` statement names: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn leaves(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((head, rest)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or_default().trim();
        return vec![path.trim_end_matches("::self").to_owned()];
    };
    let inner = rest.trim_end().strip_suffix('}').unwrap_or(rest);
    let mut parts = vec![String::new()];
    let mut depth = 0_i32;
    for letter in inner.chars() {
        depth += i32::from(letter == '{') - i32::from(letter == '}');
        match (letter, depth, parts.last_mut()) {
            (',', 0, _) => parts.push(String::new()),
            (letter, _, Some(part)) => part.push(letter),
            _ => {}
        }
    }
    let parts = parts.iter().filter(|part| !part.trim().is_empty());
    let join = |leaf: String| match leaf.as_str() {
        "self" => head.trim().trim_end_matches("::").to_owned(),
        _ => format!("{}{leaf}", head.trim()),
    };
    parts.flat_map(|part| leaves(part)).map(join).collect()
}

/// The same path from the crate's root, if it lies in the crate.
fn from_root(path: &str, module: &str) -> Option<String> {
    let mut place: Vec<&str> = module.split("::").filter(|part| !part.is_empty()).collect();
    let mut rest = path.split("::").peekable();
    match rest.next()? {
        "crate" => place.clear(),
        "self" => {}
        "super" => {
            place.pop();
            while rest.next_if_eq(&"super").is_some() {
                place.pop();
            }
        }
        _ => return None,
    }
    place.extend(rest);
    Some(place.join("::"))
}

/// The longest beginning of a path that is a module of its own.
fn module_named(path: &str, modules: &BTreeMap<String, String>) -> Option<String> {
    let mut end = path.len();
    loop {
        if modules.contains_key(&path[..end]) {
            return Some(path[..end].to_owned());
        }
        end = path[..end].rfind("::")?;
    }
}

fn imports(member: &str) -> Result<Imports> {
    let modules = modules(member)?;
    let mut imports = Imports::new();
    for (module, text) in &modules {
        let mut named = BTreeSet::new();
        for statement in text.split(';') {
            let lines: Vec<&str> = statement.lines().map(str::trim).collect();
            let Some(at) = lines.iter().position(|line| line.starts_with("use ") || line.contains(" use "))
            else {
                continue;
            };
            let statement = lines[at..].join(" ");
            let (visibility, tree) = statement.split_once("use ").unwrap_or_default();
            // A name that is handed on from a child is not used here.
            let is_handed_on = visibility.starts_with("pub") && tree.trim_start().starts_with("self::");
            if !is_handed_on {
                named.extend(leaves(tree));
            }
        }
        let is_word = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == ':';
        let words = text.split(|letter| !is_word(letter));
        // What ends in `::` is the beginning of a tree, which is read above.
        let begins = |word: &&str| word.starts_with("crate::") || word.starts_with("super::");
        named.extend(words.filter(begins).filter(|word| !word.ends_with(':')).map(str::to_owned));
        // A path may also begin with a child.
        let is_child = |word: &&str| {
            let first = word.split("::").next().unwrap_or_default();
            word.contains("::")
                && modules
                    .contains_key(from_root(&format!("self::{first}"), module).as_deref().unwrap_or_default())
        };
        named.extend(
            text.split(|letter| !is_word(letter)).filter(is_child).map(|path| format!("self::{path}")),
        );
        let inside = named.iter().filter_map(|path| from_root(path, module));
        let others = inside.filter_map(|path| module_named(&path, &modules)).filter(|other| other != module);
        imports.insert(module.clone(), others.collect());
    }
    Ok(imports)
}

/// The groups of modules that import each other, by one another or directly.
fn circles(imports: &Imports) -> Vec<Vec<String>> {
    let reaches = |from: &String| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from.clone()]);
        while let Some(module) = next.pop() {
            for other in imports.get(&module).into_iter().flatten() {
                if seen.insert(other.clone()) {
                    next.push(other.clone());
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&String, BTreeSet<String>> =
        imports.keys().map(|module| (module, reaches(module))).collect();
    let mut circles: Vec<Vec<String>> = Vec::new();
    for (module, seen) in &reached {
        if !seen.contains(*module) || circles.iter().flatten().any(|known| known == *module) {
            continue;
        }
        let together =
            seen.iter().filter(|other| reached.get(other).is_some_and(|back| back.contains(*module)));
        circles.push(together.cloned().collect());
    }
    circles
}

fn room_of(module: &str) -> &str {
    module.split("::").next().unwrap_or_default()
}

/// Imports from a room of one that does not stand before it.
fn upward(imports: &Imports, rooms: &[&str]) -> Result<Vec<String>> {
    let height = |module: &str| {
        let room = room_of(module);
        rooms.iter().position(|known| *known == room).with_context(|| format!("{room} is no room"))
    };
    let mut upward = Vec::new();
    for (module, others) in imports.iter().filter(|(module, _)| !module.is_empty()) {
        for other in others.iter().filter(|other| !other.is_empty()) {
            if height(module)? < height(other)? {
                upward.push(format!("{module} imports {other}"));
            }
        }
    }
    Ok(upward)
}

#[test]
fn no_file_imports_itself_through_others() -> Result<()> {
    for (member, _) in ROOMS {
        let imports = imports(member)?;
        let among = |circle: &Vec<String>| -> Vec<String> {
            let edges = |module: &String| {
                let others = imports.get(module).into_iter().flatten();
                others
                    .filter(|other| circle.contains(other))
                    .map(|other| format!("{module} imports {other}"))
                    .collect()
            };
            circle.iter().flat_map::<Vec<String>, _>(edges).collect()
        };
        let found: Vec<_> = circles(&imports).iter().map(among).collect();
        assert!(found.is_empty(), "{member}: these files import each other: {found:#?}");
    }
    Ok(())
}

#[test]
fn rooms_import_only_rooms_below_them() -> Result<()> {
    for (member, rooms) in ROOMS {
        let imports = imports(member)?;
        ensure!(imports.values().map(BTreeSet::len).sum::<usize>() > 20, "{member}: imports are not seen");
        let upward = upward(&imports, rooms)?;
        assert!(upward.is_empty(), "{member}: {upward:#?}");
    }
    Ok(())
}

#[test]
fn paths_are_read_from_imports_and_from_code() {
    let cases = [
        ("crate::a::b", "x::y", Some("a::b"), "from the root"),
        ("self::b", "x", Some("x::b"), "from a module to its child"),
        ("super::b", "x::y", Some("x::b"), "from a module to its sibling"),
        ("super::super::b", "x::y", Some("b"), "two steps up"),
        ("tokio::time", "x", None, "another crate"),
    ];
    for (path, module, expected, reason) in cases {
        assert_eq!(from_root(path, module).as_deref(), expected, "{path} in {module}: {reason}");
    }
    assert_eq!(leaves("a::{self, b, c::{d, e as f}}"), ["a", "a::b", "a::c::d", "a::c::e"]);
}

#[test]
fn circles_and_imports_upward_are_found() -> Result<()> {
    let of = |pairs: &[(&str, &str)]| {
        let mut imports = Imports::new();
        for (from, to) in pairs {
            imports.entry((*from).to_owned()).or_default().insert((*to).to_owned());
            imports.entry((*to).to_owned()).or_default();
        }
        imports
    };

    assert_eq!(circles(&of(&[("a", "b"), ("b", "c"), ("c", "a"), ("d", "a")])), [["a", "b", "c"]]);
    assert!(circles(&of(&[("a", "b"), ("a", "c"), ("b", "c")])).is_empty());
    assert_eq!(
        upward(&of(&[("low::x", "high::y"), ("high::y", "low::z")]), &["low", "high"])?,
        ["low::x imports high::y"]
    );
    Ok(())
}
