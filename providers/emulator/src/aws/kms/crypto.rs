//! AES-256-GCM with a fresh random nonce before each ciphertext.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};

use crate::persist::{PersistError, create_private_file};
use crate::random_bytes;

/// The file, beside the data, that holds the key of the keys.
const ROOT_FILE: &str = "root.key";

/// A 256-bit key. `Debug` does not print it.
#[derive(Clone)]
pub(crate) struct Material([u8; 32]);

impl std::fmt::Debug for Material {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Material(***)")
    }
}

impl Material {
    /// Makes a random key; nothing where the system has no randomness.
    pub(crate) fn random() -> Option<Self> {
        random_bytes().map(Self)
    }

    /// Takes a key of 32 bytes.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Returns the key itself.
    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Encrypts: nonce, ciphertext, tag.
    pub(crate) fn seal(&self, plain: &[u8], context: &[u8]) -> Option<Vec<u8>> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, &self.0).ok()?;
        let mut sealed = plain.to_vec();
        let nonce = key.seal_in_place_append_tag(Aad::from(context), &mut sealed).ok()?;
        let mut out = nonce.as_ref().to_vec();
        out.append(&mut sealed);
        Some(out)
    }

    /// Decrypts what [`seal`](Self::seal) made under the same context.
    pub(crate) fn open(&self, sealed: &[u8], context: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN)?;
        let key = RandomizedNonceKey::new(&AES_256_GCM, &self.0).ok()?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut sealed = sealed.to_vec();
        key.open_in_place(nonce, Aad::from(context), &mut sealed).ok().map(|plain| plain.to_vec())
    }
}

/// Returns the key of the keys of a folder, making it at the first start; a passing one where there is no folder.
///
/// # Errors
/// A file that cannot be read or written, or is not 32 bytes long.
pub(crate) fn root_key(dir: Option<&Path>) -> Result<Material, PersistError> {
    let fresh = || Material::random().ok_or_else(|| std::io::Error::other("no randomness"));
    let Some(dir) = dir else {
        return fresh().map_err(|source| PersistError::Open { path: ROOT_FILE.into(), source });
    };
    let path = dir.join(ROOT_FILE);
    let load = || -> std::io::Result<Material> {
        match fs::read(&path) {
            Ok(bytes) if bytes.len() == 32 => Ok(Material(bytes.try_into().expect("its length was looked at"))),
            // Nothing was ever encrypted with a key whose file is still empty.
            Ok(bytes) if !bytes.is_empty() => Err(std::io::Error::other("is not a key of 32 bytes")),
            Ok(_) => create_root(&path, fresh()?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => create_root(&path, fresh()?),
            Err(error) => Err(error),
        }
    };
    load().map_err(|source| PersistError::Open { path: path.clone(), source })
}

/// Writes the key beside its place and renames it there, so that a kill leaves all of it or nothing.
fn create_root(path: &Path, key: Material) -> std::io::Result<Material> {
    let temporary = path.with_extension("new");
    create_private_file(&temporary)?;
    let mut file = fs::OpenOptions::new().write(true).truncate(true).open(&temporary)?;
    file.write_all(key.bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_and_context_open() {
        let (key, other) = (Material::random().unwrap(), Material::random().unwrap());
        let sealed = key.seal(b"secret", b"/a").unwrap();
        assert_eq!(key.open(&sealed, b"/a").unwrap(), b"secret");
        assert_eq!(key.open(&sealed, b"/b"), None);
        assert_eq!(other.open(&sealed, b"/a"), None);
        assert_eq!(key.open(&sealed[..5], b"/a"), None);
        assert_ne!(key.seal(b"secret", b"/a").unwrap(), sealed, "each nonce is fresh");
    }

    #[cfg(unix)]
    #[test]
    fn the_root_key_stays_and_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let first = root_key(Some(dir.path())).unwrap();
        assert_eq!(root_key(Some(dir.path())).unwrap().bytes(), first.bytes());
        let path = dir.path().join(ROOT_FILE);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&path, b"short").unwrap();
        assert!(root_key(Some(dir.path())).is_err());
    }
}
