// SPDX-License-Identifier: GPL-2.0

//! Files in debugfs that show one record after the other.
//!
//! `kernel::debugfs` is for what cannot be unloaded: its files have no owner, so that one that is open
//! while the module goes is closed by way of file operations that have been freed
//! (`full_proxy_release()` in [`fs/debugfs/file.c`](srctree/fs/debugfs/file.c)). Nor does it show records
//! one at a time.
//!
//! C headers: [`include/linux/debugfs.h`](srctree/include/linux/debugfs.h),
//! [`include/linux/seq_file.h`](srctree/include/linux/seq_file.h)

use super::this_module;
use core::{
    marker::PhantomData,
    ptr, //
};
use kernel::{
    bindings,
    fmt,
    prelude::*,
    seq_file::SeqFile, //
};

/// What a file shows. There is one for each time that the file is open.
pub(crate) trait Records: Send + Sized {
    /// Allocates what is needed to show them; may sleep.
    fn new() -> Result<Self>;

    /// Looks for the first record at a position or behind it; returns its position. That of the first
    /// record is 0.
    fn seek(&mut self, position: u64) -> Option<u64>;

    /// Shows the record that was found last, which is at this position.
    fn show(&self, position: u64, out: &Output<'_>);
}

/// Where a record is shown.
pub(crate) struct Output<'a> {
    file: &'a SeqFile,
    raw: *mut bindings::seq_file,
}

impl Output<'_> {
    /// Prints, as [`seq_print!`](kernel::seq_print) does.
    pub(crate) fn print(&self, args: fmt::Arguments<'_>) {
        self.file.call_printf(args);
    }

    /// Prints the hash of an address, which tracepoints print as well (C's `%p`).
    pub(crate) fn hashed(&self, address: *const c_void) {
        self.address(c"%p", address.addr());
    }

    /// Prints the name of the function at this address.
    pub(crate) fn function(&self, address: usize) {
        self.address(c"%ps", address);
    }

    /// Prints the name of the function that this address is in, and the offset.
    pub(crate) fn place(&self, address: usize) {
        self.address(c"%pS", address);
    }

    /// Prints an address, in a format that takes one and does not follow it.
    // Tested by: test debugfs.
    fn address(&self, format: &CStr, address: usize) {
        // SAFETY: The file is valid, and the format is one of the three above, which look the address up or hash it.
        unsafe { bindings::seq_printf(self.raw, format.as_char_ptr(), address) };
    }
}

/// A directory at the root of debugfs, removed on drop with what is in it.
pub(crate) struct Directory(*mut bindings::dentry);

// SAFETY: What is done to an entry may be done by any thread.
// Tested by: test debugfs.
unsafe impl Send for Directory {}
// SAFETY: A shared directory only makes files, which any thread may do.
// Tested by: test debugfs.
unsafe impl Sync for Directory {}

impl Directory {
    /// Makes a directory. If that fails, then files in it fail as well, without harm.
    // Tested by: test debugfs.
    pub(crate) fn new(name: &'static CStr) -> Self {
        // SAFETY: The name is a C string.
        Self(unsafe { bindings::debugfs_create_dir(name.as_char_ptr(), ptr::null_mut()) })
    }

    /// Makes a file that only root may read. While it is open, this module cannot be unloaded.
    // Tested by: test debugfs.
    pub(crate) fn file<R: Records>(&self, name: &'static CStr) {
        // SAFETY: The parent is a directory, or an error, which is let pass. The operations are static.
        unsafe {
            bindings::debugfs_create_file_full(
                name.as_char_ptr(),
                0o400,
                self.0,
                ptr::null_mut(),
                ptr::null(),
                &File::<R>::OPERATIONS,
            )
        };
    }
}

impl Drop for Directory {
    // Tested by: test debugfs.
    fn drop(&mut self) {
        // SAFETY: It is a directory, or an error, which is let pass. This waits for
        // running readers.
        unsafe { bindings::debugfs_remove(self.0) };
    }
}

/// The functions of a file. `private` of its `struct seq_file` is a box with the `R`.
struct File<R>(PhantomData<R>);

impl<R: Records> File<R> {
    const OPERATIONS: bindings::file_operations = bindings::file_operations {
        owner: this_module(),
        open: Some(Self::open),
        read: Some(bindings::seq_read),
        llseek: Some(bindings::seq_lseek),
        release: Some(Self::release),
        ..pin_init::zeroed()
    };

    const RECORDS: bindings::seq_operations = bindings::seq_operations {
        start: Some(Self::start),
        stop: Some(Self::stop),
        next: Some(Self::next),
        show: Some(Self::show),
    };

    /// # Safety
    ///
    /// Only the kernel may call it, to open a file with these operations.
    // Tested by: test debugfs.
    unsafe extern "C" fn open(_inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        let records = match R::new().and_then(|records| Ok(KBox::new(records, GFP_KERNEL)?)) {
            Ok(records) => records,
            Err(error) => return error.to_errno(),
        };

        // SAFETY: The file is being opened. If that succeeds, then it has a `struct seq_file`, which
        // gets the box.
        unsafe {
            let ret = bindings::seq_open(file, &Self::RECORDS);
            if ret == 0 {
                let seq: *mut bindings::seq_file = (*file).private_data.cast();
                (*seq).private = KBox::into_raw(records).cast();
            }
            ret
        }
    }

    /// # Safety
    ///
    /// Only the kernel may call it, to close a file that [`Self::open`] has opened.
    // Tested by: test debugfs.
    unsafe extern "C" fn release(inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: The file was opened by `open`, and is not used any more.
        unsafe {
            let seq: *mut bindings::seq_file = (*file).private_data.cast();

            drop(KBox::<R>::from_raw((*seq).private.cast()));
            bindings::seq_release(inode, file)
        }
    }

    /// # Safety
    ///
    /// Only the kernel may call it, for such a file, with its lock held.
    // Tested by: test debugfs.
    unsafe extern "C" fn start(
        seq: *mut bindings::seq_file,
        position: *mut bindings::loff_t,
    ) -> *mut c_void {
        // SAFETY: `open` has put the records into a box, which is used under the lock of the file only.
        let (records, position) = unsafe { (&mut *(*seq).private.cast::<R>(), &mut *position) };

        // CAST: Positions are not negative, and few.
        match records.seek(*position as u64) {
            Some(found) => {
                *position = found as bindings::loff_t;
                seq.cast()
            }
            None => ptr::null_mut(),
        }
    }

    /// # Safety
    ///
    /// Only the kernel may call it, for such a file, with its lock held.
    // Tested by: test debugfs.
    unsafe extern "C" fn next(
        seq: *mut bindings::seq_file,
        _record: *mut c_void,
        position: *mut bindings::loff_t,
    ) -> *mut c_void {
        // SAFETY: The kernel passes the position that it wants to have moved on, and holds the lock.
        unsafe {
            *position += 1;
            Self::start(seq, position)
        }
    }

    /// # Safety
    ///
    /// Only the kernel may call it, for such a file, with its lock held.
    // Tested by: test debugfs.
    unsafe extern "C" fn stop(_seq: *mut bindings::seq_file, _record: *mut c_void) {}

    /// # Safety
    ///
    /// Only the kernel may call it, for such a file, with its lock held.
    // Tested by: test debugfs.
    unsafe extern "C" fn show(seq: *mut bindings::seq_file, _record: *mut c_void) -> c_int {
        // SAFETY: The file is valid, and the records are in the box of `open`; the lock of the file is held.
        unsafe {
            let out = Output {
                file: SeqFile::from_raw(seq),
                raw: seq,
            };

            // CAST: Positions are not negative.
            (*(*seq).private.cast::<R>()).show((*seq).index as u64, &out);
        }
        0
    }
}
