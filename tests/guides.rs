//! Each step of the guides in `docs/guides` can be done on this code as it is: the files and the lines that it names
//! are there.
//!
//! Whether what comes of it compiles and works, `scripts/check-guides` says: it has a copy of the code written here,
//! with all guides followed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The project.
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A step of a guide: a block of code, and what to do with it. `docs/guides/README.md` says how it is written.
struct Step {
    /// Where it stands: the guide and the line.
    at: String,
    path: String,
    action: Action,
    block: Vec<String>,
}

/// What to do with a block. Lines of the file are named without the white space at their ends.
enum Action {
    Create,
    After(String),
    Before(String),
    /// From one line to another, or the same.
    Replace(String, String),
}

#[test]
fn each_guide_can_be_followed_by_itself() {
    let list = fs::read_to_string(folder().join("README.md")).unwrap();
    for guide in guides() {
        let name = guide.file_name().unwrap().to_str().unwrap();
        assert!(list.contains(&format!("]({name})")), "{name} is not in docs/guides/README.md");
        let steps = steps(&guide);
        assert!(!steps.is_empty(), "{name} has no step");
        let into = tempfile::tempdir().unwrap();
        assert_eq!(follow(&steps, into.path()), [""; 0]);
    }
}

#[test]
fn the_guides_can_be_followed_one_after_the_other() {
    let into = tempfile::tempdir().unwrap();
    assert_eq!(follow(&all_steps(), into.path()), [""; 0]);
}

/// Does nothing by itself.
#[test]
fn a_copy_is_written_where_the_script_that_checks_the_guides_wants_it() {
    let Some(into) = std::env::var_os("GUIDES_INTO").map(PathBuf::from) else { return };
    for path in files() {
        let (from, to) = (Path::new(ROOT).join(&path), into.join(&path));
        // One that was deleted and not committed is listed, too.
        if from.is_file() {
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(from, to).unwrap();
        }
    }
    assert_eq!(follow(&all_steps(), &into), [""; 0]);
}

#[test]
fn what_a_block_says_is_read() {
    let read = |words: &str| read_action(words).unwrap();
    assert!(matches!(read("create"), Action::Create));
    assert!(matches!(read(r#"insert after "a "b" c""#), Action::After(line) if line == r#"a "b" c"#));
    assert!(matches!(read(r#"insert before "}""#), Action::Before(line) if line == "}"));
    assert!(
        matches!(read(r#"replace "a to b""#), Action::Replace(from, to) if from == "a to b" && to == from)
    );
    assert!(
        matches!(read(r#"replace from "a" to "b""#), Action::Replace(from, to) if (&*from, &*to) == ("a", "b"))
    );
    for wrong in
        ["create it", "insert", "insert after a", "insert below \"a\"", "replace", "replace from \"a\""]
    {
        assert!(read_action(wrong).is_none(), "{wrong}");
    }
}

/// Does the steps in `into`, in their order. A file that is not there is taken from the project. Returns what can't be
/// done.
fn follow(steps: &[Step], into: &Path) -> Vec<String> {
    let problems = steps.iter().filter_map(|step| Some((step, apply(step, into).err()?)));
    problems.map(|(step, problem)| format!("{}: {}: {problem}", step.at, step.path)).collect()
}

fn apply(step: &Step, into: &Path) -> Result<(), String> {
    let file = into.join(&step.path);
    let before =
        [&file, &Path::new(ROOT).join(&step.path)].into_iter().find_map(|path| fs::read_to_string(path).ok());
    let mut lines: Vec<&str> = before.iter().flat_map(|text| text.lines()).collect();
    let place = match (&step.action, &before) {
        (Action::Create, None) => 0..0,
        (Action::Create, Some(_)) => return Err("is there already".into()),
        (_, None) => return Err("is not there".into()),
        (Action::After(line), Some(_)) => {
            let below = the_one(&lines, line)? + 1;
            below..below
        }
        (Action::Before(line), Some(_)) => {
            let above = the_one(&lines, line)?;
            above..above
        }
        (Action::Replace(first, last), Some(_)) => {
            let (first, last) = (the_one(&lines, first)?, the_one(&lines, last)?);
            if last < first {
                return Err(format!("line {} is not before line {}", first + 1, last + 1));
            }
            first..last + 1
        }
    };
    lines.splice(place, step.block.iter().map(String::as_str));
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, lines.join("\n") + "\n").unwrap();
    Ok(())
}

/// Where the line is that there has to be once.
fn the_one(lines: &[&str], wanted: &str) -> Result<usize, String> {
    let found: Vec<usize> = (0..lines.len()).filter(|&number| lines[number].trim() == wanted).collect();
    match found[..] {
        [number] => Ok(number),
        _ => Err(format!("has {} times: {wanted}", found.len())),
    }
}

fn all_steps() -> Vec<Step> {
    guides().iter().flat_map(|guide| steps(guide)).collect()
}

/// The steps of a guide. A block whose first line says a language alone, or nothing, is an example.
fn steps(guide: &Path) -> Vec<Step> {
    let text = fs::read_to_string(guide).unwrap();
    let mut lines = text.lines().enumerate();
    let mut steps = Vec::new();
    while let Some((number, line)) = lines.next() {
        let Some(fence) = ["```", "~~~"].into_iter().find(|fence| line.starts_with(fence)) else { continue };
        let at = format!("{}:{}", guide.file_name().unwrap().display(), number + 1);
        let block = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != fence);
        let block = block.map(str::to_owned).collect();
        let Some((_, words)) = line[fence.len()..].split_once(' ') else { continue };
        let (verb, rest) = words.split_once(' ').unwrap_or((words, ""));
        let (path, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let action = read_action(format!("{verb} {rest}").trim()).unwrap_or_else(|| panic!("{at}: {words}"));
        steps.push(Step { at, path: path.to_owned(), action, block });
    }
    steps
}

/// What a block says without the path.
fn read_action(words: &str) -> Option<Action> {
    let quoted = |part: &str| Some(part.strip_prefix('"')?.strip_suffix('"')?.to_owned());
    let (verb, rest) = words.split_once(' ').unwrap_or((words, ""));
    Some(match (verb, rest.split_once(' ')) {
        ("create", None) if rest.is_empty() => Action::Create,
        ("insert", Some(("after", line))) => Action::After(quoted(line)?),
        ("insert", Some(("before", line))) => Action::Before(quoted(line)?),
        ("replace", Some(("from", part))) => {
            let (first, last) = part.split_once("\" to \"")?;
            Action::Replace(first.strip_prefix('"')?.to_owned(), last.strip_suffix('"')?.to_owned())
        }
        ("replace", _) => Action::Replace(quoted(rest)?, quoted(rest)?),
        _ => return None,
    })
}

fn folder() -> PathBuf {
    Path::new(ROOT).join("docs/guides")
}

/// The guides, by their names.
fn guides() -> Vec<PathBuf> {
    let files = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut guides: Vec<PathBuf> = files.filter(|path| !path.ends_with("README.md")).collect();
    guides.sort();
    guides
}

/// What a commit would take, by the paths from the root.
fn files() -> Vec<String> {
    let list = ["ls-files", "--cached", "--others", "--exclude-standard", "-z"];
    let listed = Command::new("git").args(list).current_dir(ROOT).output().unwrap();
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    String::from_utf8(listed.stdout).unwrap().split_terminator('\0').map(str::to_owned).collect()
}
