//! Where a machine is, and the file of a checkpoint that says where it was taken.
//!
//! `load` is not told where the checkpoint was taken, and one of the two machines may be further than
//! that. Positions of a machine are those of its own commands, so the last one before the checkpoint
//! tells the same: a machine beyond it is further, and none other.

use std::io;

use synod_core::{Instance, Position};

use crate::{CheckpointError, Directory};

/// The last position in a machine's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) at: Position,
    /// Otherwise it is that or a later one: a checkpoint was loaded that does not say.
    is_exact: bool,
}

impl Place {
    pub(super) const fn new(at: Position) -> Self {
        Self { at, is_exact: true }
    }

    /// The place of a machine that was here, and has loaded a checkpoint taken at `written`.
    pub(super) fn loaded(self, written: Option<Position>) -> Self {
        written.map_or(Self { is_exact: false, ..self }, Self::new)
    }

    /// Writes the file, if the place is known.
    pub(super) fn write(self, directory: &dyn Directory) -> io::Result<()> {
        if !self.is_exact {
            return Ok(());
        }
        let mut file = directory.create(NAME)?;
        file.write_all(MAGIC)?;
        file.write_all(&self.at.instance.0.to_le_bytes())?;
        file.write_all(&self.at.index.to_le_bytes())?;
        file.flush()
    }
}

/// Where the checkpoint was taken; nothing if it does not say.
pub(super) fn read(directory: &dyn Directory) -> Result<Option<Position>, CheckpointError> {
    let mut bytes = Vec::new();
    match directory.open(NAME) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?.read_to_end(&mut bytes)?,
    };
    let odd = || CheckpointError::Contents(format!("{NAME} does not hold a position"));
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(odd)?;
    let (instance, rest) = rest.split_first_chunk().ok_or_else(odd)?;
    let index = rest.try_into().map_err(|_| odd())?;
    let instance = Instance(u64::from_le_bytes(*instance));
    Ok(Some(Position { instance, index: u32::from_le_bytes(index) }))
}

/// 8 bytes of [`MAGIC`], the instance, the index of the command in it; little endian.
const NAME: &str = "mirror.position";
const MAGIC: &[u8] = b"synodmi1";
