//! Reads what was written by this and by earlier versions of the program: see `recorded/README.md`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::KINDS;
use model::{Envelope, KindInfo};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Recording {
    messages: Vec<String>,
    args: Vec<Value>,
}

/// Every recording, by the name of its kind and the version of its arguments.
fn recordings() -> BTreeMap<(String, i32), Recording> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/jobs/recorded");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let recordings = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    recordings
        .map(|path| {
            let stem = path.file_stem().unwrap().to_str().unwrap();
            let (kind, version) = stem.split_once(".v").unwrap();
            let recording = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            ((kind.to_owned(), version.parse().unwrap()), recording)
        })
        .collect()
}

#[test]
fn every_kind_is_recorded_as_it_is_written_today() {
    let recordings = recordings();
    for kind in KINDS {
        let recording = recordings.get(&(kind.name.to_owned(), kind.version));
        let recording = recording.unwrap_or_else(|| {
            panic!("record what {} is now: recorded/{0}.v{}.json", kind.name, kind.version)
        });
        for args in &recording.args {
            let written = (kind.read_args)(args).unwrap_or_else(|error| panic!("{}: {error}", kind.name));
            assert_eq!(written, *args, "{}: raise its version", kind.name);
        }
        assert!(!recording.args.is_empty(), "{}", kind.name);
        let sent = recording.messages.last().unwrap();
        let envelope = Envelope::parse(sent.as_bytes()).unwrap();
        assert_eq!((envelope.kind.as_str(), envelope.version), (kind.name, kind.version));
        assert_eq!(String::from_utf8(envelope.to_bytes()).unwrap(), *sent, "raise the envelope's schema");
    }
}

#[test]
fn what_earlier_versions_wrote_can_still_be_read() {
    for ((name, version), recording) in recordings() {
        let kind = KindInfo::find(&name).unwrap_or_else(|| {
            panic!("no kind is called {name}: add an alias, or take its recordings away if no row has it")
        });
        assert!(version <= kind.version, "{name} is recorded as version {version}");
        for args in recording.args {
            let now = if version < kind.version { (kind.upgrade)(version, args) } else { args };
            assert!((kind.read_args)(&now).is_ok(), "{name}: version {version} is read as {now}");
        }
        for message in recording.messages {
            let envelope = Envelope::parse(message.as_bytes()).unwrap();
            assert!(kind.is_called(&envelope.kind), "{message}");
            assert_eq!(envelope.version, version, "{message}");
        }
    }
}
