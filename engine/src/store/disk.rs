//! A store in a directory: a file for each blob.
//!
//! ```text
//!   put:  write .tmp-NAME | sync it | rename it to NAME | sync the directory
//!         ------------ NAME holds the old bytes --------|-- the new ones ---
//! ```
//!
//! Knows nothing of other writers: one process at a time, from the opening on. Invariants: a file under a name is whole,
//! whatever step of a put the process or the machine died at; a temporary file is never listed, and gone after the next
//! opening; what no put could have made is neither listed nor taken away.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::store::{Store, StoreError, checked_name};

/// How the name of a file begins that is not yet whole; no blob's does.
const TEMPORARY: &str = ".tmp-";

/// Blobs in a directory.
#[derive(Debug)]
pub struct DiskStore<F = System> {
    dir: PathBuf,
    files: F,
}

/// What a store needs of a file system. Tests put one in its place that stops at any step.
pub trait Files: Send {
    /// A file that is being written.
    type File;
    /// Makes the directory, and those above it.
    ///
    /// # Errors
    /// As the file system says; so for all of these.
    fn create_dir(&mut self, dir: &Path) -> io::Result<()>;
    /// An empty file, in place of what was there.
    fn create(&mut self, path: &Path) -> io::Result<Self::File>;
    /// Appends all of the bytes.
    fn write(&mut self, file: &mut Self::File, bytes: &[u8]) -> io::Result<()>;
    /// Returns when what was written would outlast a loss of power.
    fn sync(&mut self, file: &Self::File) -> io::Result<()>;
    /// Gives the file another name, in place of what was there, in one step.
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()>;
    /// Returns when the names in the directory would outlast a loss of power.
    fn sync_dir(&mut self, dir: &Path) -> io::Result<()>;
    /// All bytes of the file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// The names of files in the directory that are text, in any order: no directories, no links.
    fn names(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Takes the file out.
    fn remove(&mut self, path: &Path) -> io::Result<()>;
}

/// The file system of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl DiskStore {
    /// The store in this directory, which is made if it is not there.
    ///
    /// # Errors
    /// It cannot be made, read or written.
    pub fn open(dir: impl Into<PathBuf>) -> Result<DiskStore, StoreError> {
        DiskStore::over(System, dir.into())
    }
}

impl<F: Files> DiskStore<F> {
    pub(crate) fn over(mut files: F, dir: PathBuf) -> Result<DiskStore<F>, StoreError> {
        files.create_dir(&dir).map_err(|error| failed("make", &dir, &error))?;
        let names = files.names(&dir).map_err(|error| failed("list", &dir, &error))?;
        let begun = |name: &&String| name.strip_prefix(TEMPORARY).is_some_and(|of| checked_name(of).is_ok());
        for name in names.iter().filter(begun) {
            let path = dir.join(name);
            files.remove(&path).map_err(|error| failed("remove", &path, &error))?;
        }
        Ok(DiskStore { dir, files })
    }

    #[cfg(test)]
    pub(crate) fn into_files(self) -> F {
        self.files
    }

    fn path(&self, name: &str) -> Result<PathBuf, StoreError> {
        Ok(self.dir.join(checked_name(name)?))
    }

    /// Writes the bytes so that they would outlast a loss of power.
    fn write(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.files.create(path)?;
        self.files.write(&mut file, bytes)?;
        self.files.sync(&file)
    }
}

impl<F: Files> Store for DiskStore<F> {
    fn put(&mut self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.path(name)?;
        let temporary = self.dir.join(format!("{TEMPORARY}{name}"));
        let written = self.write(&temporary, bytes).and_then(|()| self.files.rename(&temporary, &path));
        if let Err(error) = written {
            // Should this fail too, the next opening takes it away.
            drop(self.files.remove(&temporary));
            return Err(match error.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                    StoreError::Full { name: name.to_owned(), place: self.dir.display().to_string() }
                }
                _ => failed("write", &path, &error),
            });
        }
        // The new bytes are there, but a loss of power could still bring the old ones back.
        let place = || self.dir.display().to_string();
        self.files
            .sync_dir(&self.dir)
            .map_err(|_| StoreError::Unknown { name: name.to_owned(), place: place() })
    }

    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path(name)?;
        match self.files.read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &path, &error)),
        }
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let mut names = self.files.names(&self.dir).map_err(|error| failed("list", &self.dir, &error))?;
        // Whatever else lies in the directory is not ours.
        names.retain(|name| name.starts_with(prefix) && checked_name(name).is_ok());
        names.sort();
        Ok(names)
    }

    fn remove(&mut self, name: &str) -> Result<(), StoreError> {
        let path = self.path(name)?;
        match self.files.remove(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(failed("remove", &path, &error)),
            Ok(()) => self.files.sync_dir(&self.dir).map_err(|error| failed("sync", &self.dir, &error)),
        }
    }
}

fn failed(doing: &'static str, path: &Path, error: &io::Error) -> StoreError {
    StoreError::Io { doing, place: path.display().to_string(), why: error.to_string() }
}

impl Files for System {
    type File = fs::File;

    fn create_dir(&mut self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }

    fn create(&mut self, path: &Path) -> io::Result<fs::File> {
        fs::File::create(path)
    }

    fn write(&mut self, file: &mut fs::File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    fn sync(&mut self, file: &fs::File) -> io::Result<()> {
        file.sync_all()
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    #[cfg(unix)]
    fn sync_dir(&mut self, dir: &Path) -> io::Result<()> {
        fs::File::open(dir)?.sync_all()
    }

    /// A directory cannot be opened here; the file system keeps its names in a journal.
    #[cfg(not(unix))]
    fn sync_dir(&mut self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn names(&self, dir: &Path) -> io::Result<Vec<String>> {
        let name = |entry: io::Result<fs::DirEntry>| {
            let entry = entry?;
            let is_file = entry.file_type()?.is_file();
            Ok(entry.file_name().into_string().ok().filter(|_| is_file))
        };
        fs::read_dir(dir)?.map(name).filter_map(Result::transpose).collect()
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
}
