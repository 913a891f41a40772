//! How the documents are written: the bounds of the README, words that nobody has to decode, short sentences, and links
//! that lead somewhere.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

/// The most lines and words of the README, as `wc` counts them.
const README_MAX_LINES: usize = 180;
const README_MAX_WORDS: usize = 1_800;

/// Its sections, in order.
const README_SECTIONS: [&str; 10] = [
    "Quick start",
    "See it work",
    "The API",
    "Core concepts",
    "How it works",
    "Read your own writes",
    "What is guaranteed",
    "Speed",
    "When to choose something else",
    "Where to go next",
];

const README_DEFINITIONS: usize = 10;

pub(crate) const SENTENCE_MAX_WORDS: usize = 25;

/// Words that a reader has to translate, or that have a better one in the list of core concepts.
const BANNED: [&str; 22] = [
    "anew",
    "thereby",
    "thereof",
    "whereof",
    "set aside",
    "sets aside",
    "setting aside",
    "held against",
    "as far as can be said",
    "one sees",
    "who",
    "whom",
    "whoever",
    "away",
    "hole",
    "holes",
    "parts are",
    "a part is",
    "when a part",
    "life of the primary",
    "lives of the primary",
    "poke",
];

/// A document of the project.
pub(crate) struct Document {
    /// From the root of the checkout.
    pub(crate) path: PathBuf,
    /// Its Markdown.
    pub(crate) text: String,
}

fn root() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no checkout")?;
    Ok(root.to_owned())
}

/// README, changelog, and everything in `docs/`, in order of their paths.
pub(crate) fn documents() -> Result<Vec<Document>> {
    let root = root()?;
    let mut paths = vec![root.join("README.md"), root.join("CHANGELOG.md")];
    let mut directories = vec![root.join("docs")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory)? {
            let path = entry?.path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                paths.push(path);
            }
        }
    }
    ensure!(paths.len() > 10, "these are not the documents: {paths:?}");
    paths.sort();
    let document = |path: PathBuf| {
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Ok(Document { path: path.strip_prefix(&root)?.to_owned(), text })
    };
    paths.into_iter().map(document).collect()
}

fn readme() -> Result<String> {
    Ok(fs::read_to_string(root()?.join("README.md"))?)
}

/// What a paragraph, an item of a list, a heading or a row of a table says: code and addresses of links left out.
#[derive(Debug, PartialEq, Eq)]
enum Block {
    Heading(String),
    Row(String),
    Text(String),
}

impl Block {
    fn words(&self) -> &str {
        let (Self::Heading(words) | Self::Row(words) | Self::Text(words)) = self;
        words
    }
}

/// The prose of a document. Blocks of code, fenced or indented by four, are not prose.
fn blocks(markdown: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let (mut fenced, mut paragraph) = (false, String::new());
    for line in markdown.lines() {
        let begins_fence = line.trim_start().starts_with("```");
        fenced ^= begins_fence;
        let is_code = begins_fence || fenced || line.starts_with("    ");
        let trimmed = line.trim();
        let begins_item = trimmed.starts_with("- ") || numbered_item(trimmed).is_some();
        let stands_alone = trimmed.starts_with('#') || trimmed.starts_with('|');
        if is_code || trimmed.is_empty() || begins_item || stands_alone {
            take_paragraph(&mut paragraph, &mut blocks);
        }
        if is_code || trimmed.is_empty() {
            continue;
        }
        if let Some(heading) = trimmed.strip_prefix('#') {
            blocks.push(Block::Heading(said(heading.trim_start_matches('#').trim())));
        } else if trimmed.starts_with('|') {
            blocks.push(Block::Row(said(trimmed)));
        } else {
            let text = trimmed.strip_prefix("- ").or(numbered_item(trimmed)).unwrap_or(trimmed);
            paragraph.push_str(text);
            paragraph.push('\n');
        }
    }
    take_paragraph(&mut paragraph, &mut blocks);
    blocks
}

fn take_paragraph(paragraph: &mut String, blocks: &mut Vec<Block>) {
    if !paragraph.is_empty() {
        blocks.push(Block::Text(said(&std::mem::take(paragraph))));
    }
}

/// The text of a line such as `12. Text`.
fn numbered_item(line: &str) -> Option<&str> {
    let (number, text) = line.split_once(". ")?;
    (!number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit())).then_some(text)
}

/// Markdown as it is read aloud: code becomes one word, a link its text, emphasis nothing.
fn said(markdown: &str) -> String {
    let mut text = String::new();
    for (number, piece) in markdown.split('`').enumerate() {
        text.push_str(if number % 2 == 0 { piece } else { "CODE" });
    }
    while let Some(start) = text.find("](") {
        let end = text[start..].find(')').map_or(text.len(), |length| start + length + 1);
        text.replace_range(start..end, "");
    }
    text.replace(['[', '*'], "").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The sentences of a paragraph. A sentence ends with a full stop, a question mark or an exclamation mark before a blank,
/// closing brackets and quotes included; so a number such as 0.4 ends none. A colon or a semicolon ends none either.
pub(crate) fn sentences(paragraph: &str) -> Vec<&str> {
    let mut sentences = Vec::new();
    let mut start = 0;
    for (at, _) in paragraph.match_indices(' ') {
        let so_far = paragraph[start..at].trim_end_matches([')', '"', '\'']);
        if so_far.ends_with(['.', '?', '!']) {
            sentences.push(&paragraph[start..at]);
            start = at + 1;
        }
    }
    sentences.push(&paragraph[start..]);
    sentences
}

/// How many words a sentence has: what holds a letter or a digit.
pub(crate) fn words(sentence: &str) -> usize {
    sentence.split_whitespace().filter(|word| word.chars().any(char::is_alphanumeric)).count()
}

/// The banned words that a text holds, as whole words.
pub(crate) fn banned_in(text: &str) -> Vec<&'static str> {
    let only_words: String =
        text.to_lowercase().chars().map(|one| if one.is_alphanumeric() { one } else { ' ' }).collect();
    let padded = format!(" {} ", only_words.split_whitespace().collect::<Vec<_>>().join(" "));
    BANNED.into_iter().filter(|banned| padded.contains(&format!(" {banned} "))).collect()
}

/// Where a heading is linked to.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase().replace('`', "");
    let kept = kept.chars().filter(|one| one.is_alphanumeric() || matches!(one, ' ' | '-' | '_'));
    kept.map(|one| if one == ' ' { '-' } else { one }).collect()
}

fn anchors(markdown: &str) -> HashSet<String> {
    let mut fenced = false;
    let headings = markdown.lines().filter_map(|line| {
        fenced ^= line.starts_with("```");
        line.strip_prefix('#').filter(|_| !fenced)
    });
    headings.map(|heading| anchor(heading.trim_start_matches('#').trim())).collect()
}

/// The targets of all links, outside of blocks of code.
fn links(markdown: &str) -> Vec<&str> {
    let mut fenced = false;
    let prose = markdown.lines().filter(|line| {
        let begins_fence = line.trim_start().starts_with("```");
        fenced ^= begins_fence;
        !fenced && !begins_fence && !line.starts_with("    ")
    });
    prose.flat_map(|line| line.split("](").skip(1)).filter_map(|rest| rest.split(')').next()).collect()
}

#[test]
fn the_readme_is_short_enough_to_be_read_to_its_end() -> Result<()> {
    let readme = readme()?;

    let (lines, words) = (readme.lines().count(), readme.split_whitespace().count());

    assert!(lines <= README_MAX_LINES, "{lines} lines, and {README_MAX_LINES} are allowed");
    assert!(words <= README_MAX_WORDS, "{words} words, and {README_MAX_WORDS} are allowed");
    Ok(())
}

#[test]
fn the_readme_has_its_sections_its_picture_and_ten_definitions() -> Result<()> {
    let readme = readme()?;

    let sections: Vec<&str> = readme.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(sections, README_SECTIONS);
    assert_eq!(readme.matches("```mermaid").count(), 1, "one picture");
    let (_, concepts) = readme.split_once("\n## Core concepts\n").context("no core concepts")?;
    let concepts = concepts.split("\n## ").next().unwrap_or_default();
    let definitions: Vec<Block> = blocks(concepts);
    assert_eq!(definitions.len(), README_DEFINITIONS, "{definitions:?}");
    for definition in &definitions {
        assert_eq!(sentences(definition.words()).len(), 1, "one sentence defines: {definition:?}");
    }
    Ok(())
}

#[test]
fn the_documents_use_no_word_that_has_to_be_decoded() -> Result<()> {
    let mut found = Vec::new();
    for document in documents()? {
        for block in blocks(&document.text) {
            let banned = banned_in(block.words());
            if !banned.is_empty() {
                found.push(format!("{}: {banned:?}: {}", document.path.display(), block.words()));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    Ok(())
}

#[test]
fn no_sentence_of_the_documents_has_more_than_25_words() -> Result<()> {
    let mut long = Vec::new();
    for document in documents()? {
        for block in blocks(&document.text) {
            let Block::Text(paragraph) = block else { continue };
            for sentence in sentences(&paragraph) {
                let words = words(sentence);
                if words > SENTENCE_MAX_WORDS {
                    long.push(format!("{}: {words} words: {sentence}", document.path.display()));
                }
            }
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
    Ok(())
}

#[test]
fn every_link_of_the_documents_leads_to_a_file_and_to_a_heading_in_it() -> Result<()> {
    let root = root()?;
    let (mut broken, mut followed) = (Vec::new(), 0);
    for document in documents()? {
        for target in links(&document.text) {
            if target.starts_with("https://") {
                continue;
            }
            followed += 1;
            let (path, heading) = target.split_once('#').unwrap_or((target, ""));
            let directory = root.join(&document.path);
            let file = match path {
                "" => directory,
                path => directory.parent().context("a document is in a directory")?.join(path),
            };
            let leads = file.exists()
                && (heading.is_empty()
                    || fs::read_to_string(&file).is_ok_and(|text| anchors(&text).contains(heading)));
            if !leads {
                broken.push(format!("{}: {target}", document.path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere:\n{}", broken.join("\n"));
    ensure!(followed > 50, "only {followed} links: are they looked for in the right way?");
    Ok(())
}

#[test]
fn every_guarantee_names_a_test() -> Result<()> {
    let guarantees = fs::read_to_string(root()?.join("docs/guarantees.md"))?;

    let rows = guarantees.lines().filter(|line| line.starts_with("| ") && *line != "| guarantee | test |");
    let unproved: Vec<&str> = rows.clone().filter(|row| !row.contains("::")).collect();

    assert!(unproved.is_empty(), "{unproved:#?}");
    ensure!(rows.count() >= 25, "these are not the guarantees");
    Ok(())
}

#[test]
fn prose_is_told_from_code_and_tables() {
    let markdown = "# A `b` title\n\nOne sentence\nover two lines. [Another](to.md#there) **one**.\n\n    $ code\n\n\
                    ```\nfenced code\n```\n\n| a | `row` |\n\n- An item\n  that goes on.\n2. A number.\n\n       $ more code\n";

    let text = |text: &str| Block::Text(text.to_owned());
    assert_eq!(
        blocks(markdown),
        [
            Block::Heading("A CODE title".to_owned()),
            text("One sentence over two lines. Another one."),
            Block::Row("| a | CODE |".to_owned()),
            text("An item that goes on."),
            text("A number."),
        ]
    );
    assert_eq!(links(markdown), ["to.md#there"]);
    assert_eq!(anchors(markdown), HashSet::from(["a-b-title".to_owned()]));
}

#[test]
fn sentences_and_banned_words_are_told_from_what_resembles_them() {
    let cases = [
        ("One. Two? Three!", vec!["One.", "Two?", "Three!"], "three ends"),
        ("At most 0.4 s a try.", vec!["At most 0.4 s a try."], "a number is no end"),
        ("First (as said.) Second.", vec!["First (as said.)", "Second."], "a bracket closes behind the end"),
        ("One: two; three.", vec!["One: two; three."], "only one end"),
    ];
    for (paragraph, expected, reason) in cases {
        assert_eq!(sentences(paragraph), expected, "{reason}");
    }
    assert_eq!(words("Four words, - and CODE."), 4, "a dash is no word");
    assert_eq!(banned_in("The whole is set aside, anew"), ["anew", "set aside"], "but not the whole");
}
