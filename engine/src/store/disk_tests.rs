//! A store in a directory, stopped at every step: by the end of the process, by a loss of power, by a full disk. The file
//! system is one in memory that forgets what was not synced; leaving out any sync, or the rename, is seen here.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::store::disk::Files;
use crate::store::{DiskStore, Store, StoreError};

const DIR: &str = "/store";

/// What a loss of power does to what was not synced.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Loss {
    /// Names are as they were when last synced; else as they were at the end.
    names: bool,
    /// Of bytes that were not synced this share in quarters is there.
    quarters: usize,
}

/// Only the process ends: everything written is there.
const PROCESS: Loss = Loss { names: false, quarters: 4 };

#[derive(Clone, Debug, Default)]
struct File {
    bytes: Vec<u8>,
    synced: Option<Vec<u8>>,
}

/// Files in memory, and the step at which everything stops.
#[derive(Clone, Debug, Default)]
struct Simulated {
    files: Vec<File>,
    names: BTreeMap<PathBuf, usize>,
    synced: BTreeMap<PathBuf, usize>,
    steps: usize,
    stop_at: Option<usize>,
    /// Bytes of one file that fit.
    room: Option<usize>,
}

impl Simulated {
    /// Whether this step, which would change something, still happens.
    fn step(&mut self) -> io::Result<()> {
        self.steps += 1;
        match self.stop_at {
            Some(stop) if self.steps > stop => Err(ErrorKind::Interrupted.into()),
            _ => Ok(()),
        }
    }

    /// What is found afterwards.
    fn after(&self, loss: Loss) -> Simulated {
        let names = if loss.names { &self.synced } else { &self.names };
        let kept = |file: &File| {
            let written = file.bytes.len() * loss.quarters / 4;
            let bytes = file.synced.clone().unwrap_or_else(|| file.bytes[..written].to_vec());
            File { synced: Some(bytes.clone()), bytes }
        };
        let files = self.files.iter().map(kept).collect();
        Simulated { files, names: names.clone(), synced: names.clone(), ..Simulated::default() }
    }
}

impl Files for Simulated {
    type File = usize;

    fn create_dir(&mut self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn create(&mut self, path: &Path) -> io::Result<usize> {
        self.step()?;
        self.files.push(File::default());
        self.names.insert(path.to_owned(), self.files.len() - 1);
        Ok(self.files.len() - 1)
    }

    /// In two steps: half of it, then all.
    fn write(&mut self, file: &mut usize, bytes: &[u8]) -> io::Result<()> {
        for part in [bytes.len() / 2, bytes.len()] {
            self.step()?;
            let fits = part.min(self.room.unwrap_or(part));
            self.files[*file].bytes = bytes[..fits].to_vec();
            if fits < part {
                return Err(ErrorKind::StorageFull.into());
            }
        }
        Ok(())
    }

    fn sync(&mut self, file: &usize) -> io::Result<()> {
        self.step()?;
        self.files[*file].synced = Some(self.files[*file].bytes.clone());
        Ok(())
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        let file = self.names.remove(from).ok_or(ErrorKind::NotFound)?;
        self.names.insert(to.to_owned(), file);
        Ok(())
    }

    fn sync_dir(&mut self, _: &Path) -> io::Result<()> {
        self.step()?;
        self.synced = self.names.clone();
        Ok(())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.names.get(path).map(|&file| self.files[file].bytes.clone()).ok_or(ErrorKind::NotFound.into())
    }

    fn names(&self, _: &Path) -> io::Result<Vec<String>> {
        let name = |path: &PathBuf| Some(path.file_name()?.to_str()?.to_owned());
        Ok(self.names.keys().filter_map(name).collect())
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.step()?;
        self.names.remove(path).map(|_| ()).ok_or(ErrorKind::NotFound.into())
    }
}

fn opened(files: Simulated) -> DiskStore<Simulated> {
    DiskStore::over(files, PathBuf::from(DIR)).unwrap()
}

/// Puts it; gives what became of it, and the files.
fn put(files: &Simulated, stop_at: Option<usize>, name: &str, bytes: &[u8]) -> (bool, Simulated) {
    let mut files = files.clone();
    (files.steps, files.stop_at) = (0, stop_at);
    let mut store = opened(files);
    let done = store.put(name, bytes).is_ok();
    (done, store.into_files())
}

#[test]
fn stopped_at_any_step_a_put_was_done_whole_or_not_at_all() {
    let mut losses = vec![PROCESS];
    losses.extend((0..=4).flat_map(|quarters| [true, false].map(|names| Loss { names, quarters })));
    for old in [None, Some(&b"old bytes"[..])] {
        let before = match old {
            Some(old) => put(&Simulated::default(), None, "a", old).1,
            None => Simulated::default(),
        };
        let steps = put(&before, None, "a", b"new, and longer").1.steps;
        assert_eq!(steps, 6, "create, half, all, sync, rename, sync of the directory");
        let (mut were_old, mut were_new) = (0, 0);
        for stop in 0..=steps {
            for &loss in &losses {
                let (done, files) = put(&before, Some(stop), "a", b"new, and longer");
                assert_eq!(done, stop == steps);
                let store = opened(files.after(loss));
                let found = store.get("a").unwrap();
                let new = found.as_deref() == Some(b"new, and longer");
                assert!(new || !done && found.as_deref() == old, "{found:?} stopped at {stop}, {loss:?}");
                assert_eq!(store.list("").unwrap().len(), usize::from(found.is_some()), "no temporary file");
                assert!(store.into_files().names.keys().all(|path| path == &Path::new(DIR).join("a")));
                were_old += usize::from(!new);
                were_new += usize::from(new && !done);
            }
        }
        assert!(were_old > 0 && were_new > 0);
    }
}

#[test]
fn what_was_removed_stays_away_after_a_loss_of_power() {
    let (_, files) = put(&Simulated::default(), None, "a", b"1");
    let mut store = opened(files);
    store.remove("a").unwrap();
    let store = opened(store.into_files().after(Loss { names: true, quarters: 0 }));
    assert_eq!(store.get("a"), Ok(None));
}

#[test]
fn without_room_the_old_bytes_stay_and_nothing_is_left_behind() {
    for room in 0..5 {
        let (_, mut files) = put(&Simulated::default(), None, "a", b"old");
        files.room = Some(room);
        let mut store = opened(files);
        let error = store.put("a", b"newer").unwrap_err();
        assert_eq!(error, StoreError::Full { name: "a".into(), place: DIR.into() });
        assert!(error.to_string().contains("free some"), "{error}");
        assert_eq!((store.get("a"), store.list("")), (Ok(Some(b"old".to_vec())), Ok(vec!["a".into()])));
        assert_eq!(store.into_files().names.len(), 1);
    }
}

#[test]
fn a_rename_that_may_not_last_is_told_as_not_known() {
    let mut store = opened(Simulated { stop_at: Some(5), ..Simulated::default() });
    assert!(matches!(store.put("a", b"1"), Err(StoreError::Unknown { .. })));
    assert_eq!(store.get("a"), Ok(Some(b"1".to_vec())));
}

#[test]
fn a_real_directory_loses_its_temporary_files_and_keeps_what_is_not_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep/down");
    DiskStore::open(&path).unwrap().put("a", b"1").unwrap();
    std::fs::write(path.join(".tmp-b"), b"half").unwrap();
    std::fs::write(path.join("README.md"), b"mine").unwrap();
    std::fs::write(path.join(".tmp-README.md"), b"mine").unwrap();
    std::fs::create_dir(path.join("folder")).unwrap();
    std::fs::create_dir(path.join(".tmp-folder")).unwrap();
    let store = DiskStore::open(&path).unwrap();
    assert_eq!(store.list(""), Ok(vec!["a".to_owned()]));
    assert!(!path.join(".tmp-b").exists());
    for mine in ["README.md", ".tmp-README.md", "folder", ".tmp-folder"] {
        assert!(path.join(mine).exists(), "{mine}");
    }
}

#[test]
fn errors_of_a_real_directory_name_the_file_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let error = DiskStore::open(&file).unwrap_err();
    assert_eq!(error.code(), "store-io");
    assert!(error.to_string().contains("file") && error.to_string().contains("try again"), "{error}");
    let mut store = DiskStore::open(dir.path().join("store")).unwrap();
    std::fs::create_dir(dir.path().join("store/taken")).unwrap();
    let error = store.put("taken", b"1").unwrap_err().to_string();
    assert!(error.contains("store/taken"), "{error}");
    assert!(!dir.path().join("store/.tmp-taken").exists());
}
