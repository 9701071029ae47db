//! An eBPF program that reports sockets that begin to listen (`bpf(2)`, raw: no toolchain, no
//! library), and its ring buffer.
//!
//! The program is of type `sock_ops` and attached to a cgroup2 directory. The kernel runs it for
//! socket events of every process in the directory and below; for `BPF_SOCK_OPS_TCP_LISTEN_CB`,
//! which is raised when the socket takes connections, it writes one record: the cookie of the
//! socket's network namespace, and its port. The kernel removes it with its last descriptor, so
//! that it does not outlive this process.

use std::ffi::c_void;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;

use self::records::{DATA_WORDS, RING_BYTES, Records};

pub use self::records::Listen;

mod records;

const PAGE_BYTES: usize = 4096;

/// Commands of `bpf(2)`, kinds and helpers (linux/bpf.h).
const MAP_CREATE: u32 = 0;
const PROG_LOAD: u32 = 5;
const LINK_CREATE: u32 = 28;
const MAP_TYPE_RINGBUF: u32 = 27;
const PROG_TYPE_SOCK_OPS: u32 = 13;
const CGROUP_SOCK_OPS: u32 = 3;
const TCP_LISTEN_CB: i32 = 11;
const GET_NETNS_COOKIE: i32 = 122;
const RINGBUF_OUTPUT: i32 = 130;
/// `SO_NETNS_COOKIE` (asm-generic/socket.h; Linux 5.14).
const SO_NETNS_COOKIE: libc::c_int = 71;

/// The attached program and its ring buffer.
pub struct Listens {
    ring: Ring,
    /// Keeps the program attached, and thus loaded.
    _link: OwnedFd,
}

impl Listens {
    /// Attaches the program to a cgroup2 directory, beside other programs there (Linux 5.15).
    pub fn attach(directory: &impl AsFd) -> io::Result<Self> {
        let ring = Ring::new()?;
        let program = load(&ring.map)?;
        let link =
            LinkCreate { program: number(&program), target: number(directory), attach_type: CGROUP_SOCK_OPS, flags: 0 };
        Ok(Self { _link: call(LINK_CREATE, &link)?, ring })
    }

    /// A descriptor that is readable when a record was written since the last [`Self::read`].
    pub fn readiness(&self) -> io::Result<OwnedFd> {
        self.ring.map.try_clone()
    }

    /// Takes the written records, in order.
    pub fn read(&mut self, mut each: impl FnMut(Listen)) {
        while let Some(record) = self.ring.next() {
            if let Some(listen) = record {
                each(listen);
            }
        }
    }
}

/// Whether the kernel accepts the program; attaches nothing.
pub fn available() -> io::Result<()> {
    load(&Ring::new()?.map).map(drop)
}

/// The cookie of a socket's network namespace, as in the program's records.
pub fn network_cookie(socket: &impl AsFd) -> io::Result<u64> {
    let mut cookie = 0_u64;
    let mut length = size_of::<u64>() as libc::socklen_t;
    let descriptor = socket.as_fd().as_raw_fd();
    // SAFETY: the option is 8 bytes, the size of `cookie` and the value of `length`; both outlive
    // the call.
    let result = unsafe {
        libc::getsockopt(descriptor, libc::SOL_SOCKET, SO_NETNS_COOKIE, (&raw mut cookie).cast(), &raw mut length)
    };
    if result == 0 { Ok(cookie) } else { Err(io::Error::last_os_error()) }
}

/// Arguments of the commands: the fields of `union bpf_attr` in use.
#[repr(C)]
struct MapCreate {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
}

#[repr(C)]
struct ProgLoad {
    program_type: u32,
    instructions_len: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    expected_attach_type: u32,
}

#[repr(C)]
struct LinkCreate {
    program: u32,
    target: u32,
    attach_type: u32,
    flags: u32,
}

/// Structures of which the kernel may read every byte: no padding, plain numbers.
trait Attributes {}
impl Attributes for MapCreate {}
impl Attributes for ProgLoad {}
impl Attributes for LinkCreate {}

/// A command that returns a descriptor.
fn call(command: u32, attributes: &impl Attributes) -> io::Result<OwnedFd> {
    let (pointer, size) = (std::ptr::from_ref(attributes), size_of_val(attributes));
    // SAFETY: the kernel reads `size` bytes, those of a structure without padding, and the memory
    // that it points to (instructions and licence, of the lengths given), which outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, pointer, size) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    let descriptor = RawFd::try_from(result).map_err(|_| io::ErrorKind::InvalidData)?;
    // SAFETY: these commands return a new descriptor, which has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn number(descriptor: &impl AsFd) -> u32 {
    u32::try_from(descriptor.as_fd().as_raw_fd()).expect("an open descriptor is not negative")
}

fn load(ring: &OwnedFd) -> io::Result<OwnedFd> {
    let program = program(ring.as_raw_fd());
    let mut name = [0; 16];
    name[..14].copy_from_slice(b"sampan_listens");
    call(
        PROG_LOAD,
        &ProgLoad {
            program_type: PROG_TYPE_SOCK_OPS,
            instructions_len: u32::try_from(program.len()).expect("a few instructions"),
            instructions: program.as_ptr() as u64,
            // The helpers that it calls do not require a GPL-compatible licence.
            license: c"Apache-2.0".as_ptr() as u64,
            log_level: 0,
            log_size: 0,
            log: 0,
            kernel_version: 0,
            flags: 0,
            name,
            interface: 0,
            expected_attach_type: CGROUP_SOCK_OPS,
        },
    )
}

/// One instruction (kernel documentation, "BPF instruction set").
const fn instruction(code: u8, to: u8, from: u8, offset: i16, value: i32) -> u64 {
    let [low, high] = offset.to_le_bytes();
    let [a, b, c, d] = value.to_le_bytes();
    u64::from_le_bytes([code, to | from << 4, low, high, a, b, c, d])
}

/// The program. Register 1 holds the context (`struct bpf_sock_ops`) at first, 1 to 5 are the
/// arguments of a helper, 0 its result, 6 and 7 are preserved over calls, 10 is the end of the
/// stack.
fn program(ring: RawFd) -> [u64; 17] {
    const MOVE: u8 = 0xbf;
    const SET: u8 = 0xb7;
    const ADD: u8 = 0x07;
    const LOAD_32: u8 = 0x61;
    const STORE_64: u8 = 0x7b;
    const UNLESS_EQUAL: u8 = 0x55;
    const CALL: u8 = 0x85;
    const EXIT: u8 = 0x95;
    /// An immediate of 64 bits in two instructions; from "register" 1, it names a map by
    /// descriptor.
    const SET_64: u8 = 0x18;
    /// Offsets in the context.
    const OP: i16 = 0;
    const LOCAL_PORT: i16 = 68;
    [
        instruction(MOVE, 6, 1, 0, 0),
        instruction(LOAD_32, 2, 1, OP, 0),
        // Jump over the next twelve, to the end.
        instruction(UNLESS_EQUAL, 2, 0, 12, TCP_LISTEN_CB),
        instruction(LOAD_32, 7, 6, LOCAL_PORT, 0),
        instruction(MOVE, 1, 6, 0, 0),
        instruction(CALL, 0, 0, 0, GET_NETNS_COOKIE),
        instruction(STORE_64, 10, 0, -16, 0),
        instruction(STORE_64, 10, 7, -8, 0),
        instruction(SET_64, 1, 1, 0, ring),
        instruction(0, 0, 0, 0, 0),
        instruction(MOVE, 2, 10, 0, 0),
        instruction(ADD, 2, 0, 0, -16),
        instruction(SET, 3, 0, 0, size_of::<Listen>() as i32),
        instruction(SET, 4, 0, 0, 0),
        instruction(CALL, 0, 0, 0, RINGBUF_OUTPUT),
        instruction(SET, 0, 0, 0, 1),
        instruction(EXIT, 0, 0, 0, 0),
    ]
}

/// A ring buffer (kernel documentation, "BPF ring buffer"): the kernel writes records, this process
/// reads them, and each publishes its position in a page of its own. The data is mapped twice in a
/// row, so that every record is contiguous.
struct Ring {
    map: OwnedFd,
    read: Mapping,
    written: Mapping,
}

impl Ring {
    fn new() -> io::Result<Self> {
        let max_entries = u32::try_from(RING_BYTES).expect("a constant of few bits");
        let map = call(MAP_CREATE, &MapCreate { map_type: MAP_TYPE_RINGBUF, key_size: 0, value_size: 0, max_entries })?;
        let read = Mapping::new(&map, 0, PAGE_BYTES, libc::PROT_READ | libc::PROT_WRITE)?;
        let written = Mapping::new(&map, PAGE_BYTES, PAGE_BYTES + 2 * RING_BYTES, libc::PROT_READ)?;
        Ok(Self { map, read, written })
    }

    /// The next record: `None` when there is none, `Some(None)` for one that is discarded or of
    /// another length.
    fn next(&mut self) -> Option<Option<Listen>> {
        self.records().next()
    }

    fn records(&self) -> Records<'_> {
        // SAFETY: each mapping begins with a page whose first 8 bytes are the position; behind that
        // of `written` are both copies of the data. All is aligned, stays mapped as long as `self`,
        // and is only ever read and written as atomics.
        unsafe {
            Records {
                read: self.read.base.cast().as_ref(),
                written: self.written.base.cast().as_ref(),
                data: std::slice::from_raw_parts(self.written.base.byte_add(PAGE_BYTES).cast().as_ptr(), DATA_WORDS),
            }
        }
    }
}

/// Memory shared with the kernel.
struct Mapping {
    base: NonNull<c_void>,
    length: usize,
}

// SAFETY: the mapping belongs to this value alone; memory that the kernel changes is read as
// atomics.
unsafe impl Send for Mapping {}
// SAFETY: a shared reference gives no access to the memory.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(map: &OwnedFd, offset: usize, length: usize, protection: libc::c_int) -> io::Result<Self> {
        let offset = libc::off_t::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
        // SAFETY: a mapping at an address of the kernel's choice overlaps no existing memory.
        let base =
            unsafe { libc::mmap(std::ptr::null_mut(), length, protection, libc::MAP_SHARED, map.as_raw_fd(), offset) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { base: NonNull::new(base).ok_or(io::ErrorKind::OutOfMemory)?, length })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is owned and of this length, and references into it live only within
        // `Ring::next`.
        unsafe { libc::munmap(self.base.as_ptr(), self.length) };
    }
}
