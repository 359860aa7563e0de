//! A group's state as one file, which any node can load: a header, then the entries in the order of their
//! keys, each a length of 4 bytes (little endian) and a message.
//!
//! Equal states give equal bytes, whatever their redb files look like inside.

use std::io::{self, BufReader, BufWriter, Read, Write};

use bytes::Bytes;
use prost::Message;
use synod::{Checkpoint, CheckpointError, Directory, Instance, Position};

use crate::command::Versioned;
use crate::store::{Frozen, Progress, Store, StoreError};

impl Checkpoint for Frozen {
    fn write(self: Box<Self>, directory: &dyn Directory) -> Result<(), CheckpointError> {
        let mut file = BufWriter::new(directory.create(FILE)?);
        let Progress { applied, revision } = self.progress()?;
        let (instance, index) = (applied.instance.0, applied.index);
        write_record(&mut file, &Header { format: FORMAT, instance, index, revision })?;
        self.each(|key, entry| {
            let key = Bytes::copy_from_slice(key);
            write_record(&mut file, &Item { key, entry: Some(entry) })
        })?;
        write_record(&mut file, &Item::default())?;
        Ok(file.flush()?)
    }
}

/// Replaces a store's state by what [`Frozen`] wrote.
pub(crate) fn load(store: &Store, directory: &dyn Directory) -> Result<(), CheckpointError> {
    let mut file = BufReader::new(directory.open(FILE)?);
    let Header { format, instance, index, revision } = read_record(&mut file)?;
    if format != FORMAT {
        let text = format!("format {format} is not {FORMAT}: another version wrote it");
        return Err(CheckpointError::Contents(text));
    }
    let applied = Position { instance: Instance(instance), index };
    let items = std::iter::from_fn(|| match read_record::<Item>(&mut file) {
        Ok(Item { key, entry: Some(entry) }) => Some(Ok((key, entry))),
        Ok(Item { entry: None, .. }) => None,
        Err(error) => Some(Err(error)),
    });
    store.replace(Progress { applied, revision }, items)
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Header {
    #[prost(uint32, tag = "1")]
    format: u32,
    #[prost(uint64, tag = "2")]
    instance: u64,
    #[prost(uint32, tag = "3")]
    index: u32,
    #[prost(uint64, tag = "4")]
    revision: u64,
}

/// One without an entry is the end: a file that was cut is found out.
#[derive(Clone, PartialEq, Message)]
struct Item {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
    #[prost(message, optional, tag = "2")]
    entry: Option<Versioned>,
}

fn write_record(out: &mut impl Write, record: &impl Message) -> Result<(), CheckpointError> {
    let bytes = record.encode_to_vec();
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    out.write_all(&length.to_le_bytes())?;
    Ok(out.write_all(&bytes)?)
}

fn read_record<M: Message + Default>(input: &mut impl Read) -> Result<M, CheckpointError> {
    let mut length = [0; 4];
    input.read_exact(&mut length)?;
    let length = u64::from(u32::from_le_bytes(length));
    let mut bytes = Vec::new();
    if u64::try_from(input.take(length).read_to_end(&mut bytes)?) != Ok(length) {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    M::decode(&*bytes).map_err(|error| CheckpointError::Contents(error.to_string()))
}

impl From<StoreError> for CheckpointError {
    fn from(error: StoreError) -> Self {
        Self::Files(io::Error::other(error))
    }
}

const FILE: &str = "entries";
const FORMAT: u32 = 1;
