package state

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// lockRetry is the pause between two attempts to lock the file.
const lockRetry = 50 * time.Millisecond

// What a remedy says where the file itself is bad.
const remedyDamaged = "put the newest copy back with `backstop state restore FILE`, or start anew with `backstop state init --force`, which " +
	"forgets every report and makes that moment the baseline: what was missed before it is then not judged"

// fileIdentity tells one file from another whatever its name.
type fileIdentity struct {
	device, inode uint64
}

// checkDirectory refuses a directory in which anybody could replace the state file, and one in which we can't.
func checkDirectory(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("state directory %s does not exist; create it with: install -d -m 0700 %s", dir, dir)
	case err != nil:
		return fmt.Errorf("state directory: %w; make it readable for the user that runs backstop", err)
	case !info.IsDir():
		return fmt.Errorf("state directory %s is not a directory; set state.path to a file in a directory", dir)
	case info.Mode().Perm()&0o002 != 0:
		return fmt.Errorf("state directory %s is writable for everybody, who could replace the state; "+
			"close it with: chmod o-w %s, or set state.path elsewhere", dir, dir)
	}
	if err := syscall.Access(dir, accessWrite); err != nil {
		return fmt.Errorf("state directory %s can't be written: %w; user id %d needs write permission on it, "+
			"on a file system that is not mounted read-only", dir, err, os.Geteuid())
	}
	return nil
}

// accessWrite is W_OK of access(2).
const accessWrite = 2

// openLocked opens and locks an existing state file, and makes sure that bbolt may be let near it. It returns
// fs.ErrNotExist when there is none.
func openLocked(path string, wait time.Duration) (*os.File, error) {
	f, err := openNamed(path, wait)
	if err != nil {
		return nil, err
	}
	if err := checkShape(f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// openNamed opens and locks what the path names. Whoever held the lock may have put another file there meanwhile, as
// compact and init do: what it left is not the state any more, and the new one is waited for in its place.
func openNamed(path string, wait time.Duration) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
		if err != nil {
			return nil, openError(path, err)
		}
		if err = checkOurs(f); err == nil {
			err = lock(f, wait)
		}
		switch {
		case err != nil:
			f.Close()
			return nil, err
		case names(path, f):
			return f, nil
		}
		f.Close()
	}
}

// names reports whether a path names an open file.
func names(path string, f *os.File) bool {
	named, err := os.Lstat(path)
	if err != nil {
		return false
	}
	open, err := f.Stat()
	return err == nil && os.SameFile(named, open)
}

func openError(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return err
	case errors.Is(err, syscall.ELOOP):
		return fmt.Errorf("state file %s is a symbolic link; set state.path to the file itself", path)
	case errors.Is(err, syscall.EISDIR):
		return fmt.Errorf("state file %s is a directory; set state.path to a file in it", path)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("state file: %w; mount the file system writable, or set state.path elsewhere", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("state file: %w; user id %d needs read and write permission on it", err, os.Geteuid())
	}
	return fmt.Errorf("state file: %w; see that it is a regular file that backstop may read and write", err)
}

// checkOurs refuses what is no regular file and what belongs to somebody else: its owner could change it under us.
func checkOurs(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("state file: %w; try again", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("state file %s is not a regular file; set state.path to one, or to a name that is free", f.Name())
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; owner != uint32(os.Geteuid()) {
		return fmt.Errorf("state file %s belongs to user id %d, and this is user id %d; run backstop as its owner", f.Name(), owner, os.Geteuid())
	}
	return nil
}

// lock takes the lock that bbolt would take. bbolt locks the same open file again later, which succeeds at once.
func lock(f *os.File, wait time.Duration) error {
	for deadline := time.Now().Add(wait); ; time.Sleep(lockRetry) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, syscall.EINTR):
			continue
		case !errors.Is(err, syscall.EWOULDBLOCK):
			return fmt.Errorf("lock state file %s: %w; the state must lie on a file system with locks", f.Name(), err)
		case !time.Now().Before(deadline):
			return heldError(f)
		}
	}
}

func heldError(f *os.File) error {
	who := "another process"
	if pid := holder(f); pid > 0 {
		who = fmt.Sprintf("process %d", pid)
	}
	return fmt.Errorf("%w: %s has locked %s; use its control socket, or stop it", ErrHeld, who, f.Name())
}

// holder finds the process that holds the lock, 0 where the system does not tell.
func holder(f *os.File) int {
	id, err := identify(f)
	if err != nil {
		return 0
	}
	return holderIn("/proc/locks", id.inode)
}

// holderIn reads lines like "1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF". The device in them is not the one that stat
// tells on every file system, so the inode decides.
func holderIn(path string, inode uint64) int {
	locks, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer locks.Close()
	for lines := bufio.NewScanner(locks); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) < 6 || words[1] != "FLOCK" || !strings.HasSuffix(words[5], ":"+strconv.FormatUint(inode, 10)) {
			continue
		}
		pid, err := strconv.Atoi(words[4])
		if err == nil {
			return pid
		}
	}
	return 0
}

func identify(f *os.File) (fileIdentity, error) {
	info, err := f.Stat()
	if err != nil {
		return fileIdentity{}, err
	}
	return identityOf(info), nil
}

func identityOf(info fs.FileInfo) fileIdentity {
	stat := info.Sys().(*syscall.Stat_t)
	return fileIdentity{device: uint64(stat.Dev), inode: uint64(stat.Ino)}
}

// stillOurs makes sure before a commit that the path still names the file that is open: what is written to a file that was
// removed or replaced is lost at the next start. needs is how many bytes of it hold pages.
func (s *Store) stillOurs(needs int64) error {
	info, err := os.Lstat(s.options.Path)
	if err != nil {
		return fmt.Errorf("state file %s was removed under the running process (%w); %s", s.options.Path, err, remedyOlder)
	}
	now := identityOf(info)
	if now.device != s.opened.device || now.inode != s.opened.inode {
		return fmt.Errorf("state file %s was replaced under the running process; start again: what lies there now is used if it is the newest copy, and refused with the way out if it is not", s.options.Path)
	}
	if info.Size() < needs {
		return damaged(s.options.Path, fmt.Sprintf("it was cut off under the running process: %d bytes of at least %d", info.Size(), needs))
	}
	return nil
}

// What is needed of bbolt's file format: the two meta pages that begin a file.
const (
	pageHeaderSize = 16
	metaSize       = 64
	metaMagic      = 0xED0CDAED
	pageMeta       = 0x04
	pageFreelist   = 0x10
	pageBranch     = 0x01
	pageLeaf       = 0x02
	noFreelist     = 1<<64 - 1
)

// filePage is the header of a bbolt page.
type filePage struct {
	id    uint64
	flags uint16
}

// fileMeta is what a bbolt meta page claims.
type fileMeta struct {
	pageSize              int64
	root, freelist, pages uint64
	number                uint64 // of the transaction that wrote it
}

// checkShape refuses a file that would end the process inside bbolt: one that is empty, cut off, or of something else.
func checkShape(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("state file: %w; try again", err)
	}
	if info.Size() == 0 {
		return damaged(f.Name(), "it is empty")
	}
	meta, ok := newestMeta(f, info.Size())
	if !ok {
		return damaged(f.Name(), "it does not begin like a state file")
	}
	if claimed := int64(meta.pages) * meta.pageSize; claimed <= 0 || claimed > info.Size() {
		return damaged(f.Name(), fmt.Sprintf("it is cut off: %d bytes of at least %d", info.Size(), claimed))
	}
	if p, err := readPage(f, meta, meta.root); err != nil || p.id != meta.root || p.flags&(pageLeaf|pageBranch) == 0 {
		return damaged(f.Name(), "its first bucket is no bucket")
	}
	if p, err := readPage(f, meta, meta.freelist); meta.freelist != noFreelist && (err != nil || p.id != meta.freelist || p.flags&pageFreelist == 0) {
		return damaged(f.Name(), "its list of free pages is none")
	}
	return nil
}

func damaged(path, what string) error {
	return fmt.Errorf("%w: %s: %s; %s", ErrDamaged, path, what, remedyDamaged)
}

// Damaged is the error for a state file that was found damaged from outside, with what is wrong and what to do.
func Damaged(path, what string) error { return damaged(path, what) }

// newestMeta returns the valid meta page with the higher transaction number: the one that bbolt will use.
func newestMeta(f *os.File, size int64) (fileMeta, bool) {
	first, ok := readMetaPage(f, 0)
	if ok {
		if second, ok := readMetaPage(f, first.pageSize); ok && second.number > first.number {
			return second, true
		}
		return first, true
	}
	// Without the first page the size of a page is unknown: bbolt tries the same powers of two.
	for at := int64(1024); at <= 1024<<14 && at < size-1024; at *= 2 {
		if second, ok := readMetaPage(f, at); ok && second.pageSize == at {
			return second, true
		}
	}
	return fileMeta{}, false
}

// readMetaPage reads the meta page at an offset and says whether bbolt would believe it. bbolt writes in the byte order of
// the machine.
func readMetaPage(f *os.File, at int64) (fileMeta, bool) {
	var page [pageHeaderSize + metaSize]byte
	if n, _ := f.ReadAt(page[:], at); n < len(page) {
		return fileMeta{}, false
	}
	order, b := binary.NativeEndian, page[pageHeaderSize:]
	sum := fnv.New64a()
	sum.Write(b[:metaSize-8])
	m := fileMeta{
		pageSize: int64(order.Uint32(b[8:])),
		root:     order.Uint64(b[16:]),
		freelist: order.Uint64(b[32:]),
		pages:    order.Uint64(b[40:]),
		number:   order.Uint64(b[48:]),
	}
	valid := order.Uint32(b) == metaMagic && sum.Sum64() == order.Uint64(b[metaSize-8:]) &&
		order.Uint16(page[8:])&pageMeta != 0 && m.pageSize >= 512 && m.pageSize <= 1<<24 && m.pages < 1<<48
	return m, valid
}

func readPage(f *os.File, m fileMeta, id uint64) (filePage, error) {
	if id >= m.pages {
		return filePage{}, fmt.Errorf("page %d lies behind the end", id)
	}
	var head [pageHeaderSize]byte
	if _, err := f.ReadAt(head[:], int64(id)*m.pageSize); err != nil {
		return filePage{}, err
	}
	return filePage{id: binary.NativeEndian.Uint64(head[:]), flags: binary.NativeEndian.Uint16(head[8:])}, nil
}
