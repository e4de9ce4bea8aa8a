package state

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
)

// create makes a new state and its side file. The state is built beside its place and linked to it when it is whole: a
// crash leaves either nothing at the path or all of it. fs.ErrExist means that another process was faster.
func create(o Options) error {
	dir := filepath.Dir(o.Path)
	draft, err := os.CreateTemp(dir, "."+filepath.Base(o.Path)+".new-*") // 0600
	if err != nil {
		return fmt.Errorf("create state file: %w; user id %d needs write permission on %s", err, os.Geteuid(), dir)
	}
	name := draft.Name()
	defer os.Remove(name)
	uuid := newUUID()
	if err := errors.Join(draft.Close(), build(name, uuid, o)); err != nil {
		return fmt.Errorf("create state file %s: %w; see that there is room on the file system", o.Path, err)
	}
	if err := settleIn(name, o.Path); err != nil {
		return fmt.Errorf("create state file: %w; see that %s is writable", err, dir)
	}
	if err := syncDirectory(dir); err != nil {
		return fmt.Errorf("create state file %s: %w; try again", o.Path, err)
	}
	side := sideFile{Format: sideFormat, State: uuid, Clean: true}
	err = side.write(o.Path)
	if errors.Is(err, fs.ErrNotExist) { // another process has opened the new state, and took the draft for a leftover
		err = side.write(o.Path)
	}
	if err != nil {
		return fmt.Errorf("create side file: %w; see that %s is writable and has room", err, dir)
	}
	return nil
}

// settleIn gives a draft its name, unless there is a file of that name.
func settleIn(draft, name string) error {
	err := os.Link(draft, name)
	if errors.Is(err, fs.ErrNotExist) { // whoever made the state first took this draft for a leftover
		if _, err := os.Lstat(name); err == nil {
			return fs.ErrExist
		}
	}
	if !errors.Is(err, syscall.EPERM) && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	// A file system without hard links. Should another process be as fast in here, one of the two finds at its first commit
	// that its file was replaced, and starts again.
	if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		return fs.ErrExist
	}
	return os.Rename(draft, name)
}

// build fills a new file. bbolt takes an empty one for a new one.
func build(name, uuid string, o Options) error {
	db, err := bbolt.Open(name, 0o600, &bbolt.Options{Timeout: time.Second, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return err
	}
	err = db.Update(func(bolt *bbolt.Tx) error {
		t := newTx(nil, bolt)
		if err := t.makeBuckets(); err != nil {
			return err
		}
		settings := map[string][]byte{
			metaFormat:     binary.BigEndian.AppendUint32(nil, formatVersion),
			metaUUID:       []byte(uuid),
			metaCreated:    appendTime(nil, time.Now()),
			metaGeneration: appendTime(appendNumber(nil, 0), time.Now()),
		}
		if o.APIBase != "" {
			settings[metaBase] = []byte(o.APIBase)
		}
		for key, payload := range settings {
			if err := t.putMeta(key, payload); err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(err, db.Close())
}

// newUUID returns a random UUID, version 4.
func newUUID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	s := hex.EncodeToString(b[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

func syncDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Init makes a new, empty state. Where there is one already, or a side file of one, it returns ErrExists; with force it
// moves them aside, under the same names with ".old-<time>" behind, and so accepts that what they knew is lost.
func Init(o Options, force bool) error {
	o = o.withDefaults()
	dir := filepath.Dir(o.Path)
	if err := checkDirectory(dir); err != nil {
		return err
	}
	if err := moveAside(o, force); err != nil {
		return err
	}
	err := create(o)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: another process made %s just now; use that one", ErrExists, o.Path)
	}
	return err
}

// moveAside renames the side file first. A crash between the two leaves the old state without one, which is the old state
// still; a crash after both leaves nothing, which is what the user asked for.
func moveAside(o Options, force bool) error {
	stamp := ".old-" + time.Now().UTC().Format("20060102T150405Z")
	for _, path := range []string{o.Path, sidePath(o.Path)} {
		_, err := os.Lstat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return fmt.Errorf("look for an old state: %w; make %s readable", err, filepath.Dir(path))
		case !force:
			return fmt.Errorf("%w: %s; use --force to move it aside and start anew", ErrExists, path)
		}
	}
	release, err := lockOld(o)
	if err != nil {
		return err
	}
	defer release()
	for _, path := range []string{sidePath(o.Path), o.Path} {
		if err := os.Rename(path, path+stamp); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("move the old state aside: %w; see that its directory is writable", err)
		}
	}
	return syncDirectory(filepath.Dir(o.Path))
}

// lockOld makes sure that nobody uses the old file, damaged or not, while it is moved.
func lockOld(o Options) (release func(), err error) {
	f, err := os.OpenFile(o.Path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return func() {}, nil // nothing that could be in use: there is none, or it is a link
	}
	if err := lock(f, o.LockTimeout); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}
