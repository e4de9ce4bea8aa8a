package state

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// mustName fails the test when the text of an error lacks one of the words.
func mustName(t *testing.T, err error, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not name %q", err, word)
		}
	}
}

// grown is the content of a state file with some pages in it.
func grown(t *testing.T) []byte {
	t.Helper()
	o := optionsIn(t)
	s := mustOpen(t, o)
	for i := range 50 {
		mustDo(t, s.update(true, func(t *tx) error {
			return t.put(t.bucket(bucketReported), []byte(strconv.Itoa(i)), make([]byte, 1000))
		}))
	}
	mustClose(t, s)
	file, err := os.ReadFile(o.Path)
	mustDo(t, err)
	return file
}

func TestDamagedFilesAreRefused(t *testing.T) {
	whole := grown(t)
	page := os.Getpagesize()
	with := func(at int, with ...byte) []byte {
		file := bytes.Clone(whole)
		copy(file[at:], with)
		return file
	}
	files := map[string][]byte{
		"empty":                 {},
		"one byte":              {0},
		"text":                  []byte(strings.Repeat("these are notes, not a state\n", 2000)),
		"zeroes":                make([]byte, 64<<10),
		"both metas damaged":    append(bytes.Repeat([]byte{0xff}, 2*page), whole[2*page:]...),
		"half a page":           whole[:page/2],
		"one page":              whole[:page],
		"two pages":             whole[:2*page],
		"three pages":           whole[:3*page],
		"cut off in the middle": whole[:len(whole)/2/page*page],
	}
	meta, _ := newestMetaOf(t, whole)
	files["its last page cut off"] = whole[:int(meta.pages)*page-1]
	files["the root page damaged"] = with(int(meta.root)*page, bytes.Repeat([]byte{0xff}, page)...)
	files["the free list damaged"] = with(int(meta.freelist)*page, bytes.Repeat([]byte{0xff}, page)...)
	for name, file := range files {
		t.Run(name, func(t *testing.T) {
			o := optionsIn(t)
			replaceFile(t, o.Path, file)
			_, err := Open(o)
			if !errors.Is(err, ErrDamaged) {
				t.Fatalf("open says %v, want ErrDamaged", err)
			}
			mustName(t, err, o.Path, "state init --force")
			if after, _ := os.ReadFile(o.Path); !bytes.Equal(after, file) {
				t.Error("the damaged file was changed")
			}
		})
	}
}

func newestMetaOf(t *testing.T, file []byte) (fileMeta, bool) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	replaceFile(t, path, file)
	f, err := os.Open(path)
	mustDo(t, err)
	defer f.Close()
	return newestMeta(f, int64(len(file)))
}

func TestOneDamagedMetaIsSurvived(t *testing.T) {
	whole := grown(t)
	page := os.Getpagesize()
	for i := range 2 {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			o := optionsIn(t)
			file := bytes.Clone(whole)
			file[i*page+pageHeaderSize+60] ^= 1 // its checksum
			replaceFile(t, o.Path, file)
			mustBeCleanPages(t, mustOpen(t, o))
		})
	}
}

func mustBeCleanPages(t *testing.T, s *Store) {
	t.Helper()
	found, err := s.Check(t.Context(), false)
	mustDo(t, err)
	if len(found) > 0 {
		t.Errorf("check found %v", found)
	}
}

// Flip one byte of every page in turn: Open must answer, with the state or an error, and never end the process.
func TestOpenSurvivesAnyDamagedPage(t *testing.T) {
	whole := grown(t)
	page := os.Getpagesize()
	meta, _ := newestMetaOf(t, whole)
	for id := range int(meta.pages) {
		for _, at := range []int{8, 10, 12, pageHeaderSize} { // kind, count, overflow, first element
			o := optionsIn(t)
			file := bytes.Clone(whole)
			file[id*page+at] ^= 0xff
			replaceFile(t, o.Path, file)
			s, err := Open(o)
			switch {
			case err == nil:
				mustClose(t, s)
			case !errors.Is(err, ErrDamaged):
				t.Errorf("page %d, byte %d: %v, want ErrDamaged", id, at, err)
			}
		}
	}
}

func TestUnsafePlacesAreRefused(t *testing.T) {
	cases := map[string]struct {
		prepare func(t *testing.T, o *Options) error
		words   []string
	}{
		"directory missing": {
			func(_ *testing.T, o *Options) error {
				o.Path = filepath.Join(filepath.Dir(o.Path), "none", "backstop.db")
				return nil
			},
			[]string{"does not exist", "install -d"},
		},
		"directory writable for everybody": {
			func(_ *testing.T, o *Options) error { return os.Chmod(filepath.Dir(o.Path), 0o777) },
			[]string{"chmod o-w"},
		},
		"directory is a file": {
			func(t *testing.T, o *Options) error {
				replaceFile(t, o.Path, nil)
				o.Path = filepath.Join(o.Path, "backstop.db")
				return nil
			},
			[]string{"directory"},
		},
		"symbolic link": {
			func(t *testing.T, o *Options) error {
				other := filepath.Join(t.TempDir(), "other.db")
				replaceFile(t, other, nil)
				return os.Symlink(other, o.Path)
			},
			[]string{"symbolic link", "state.path"},
		},
		"dangling symbolic link": {
			func(_ *testing.T, o *Options) error { return os.Symlink("nowhere", o.Path) },
			[]string{"symbolic link", "state.path"},
		},
		"a directory of that name": {
			func(_ *testing.T, o *Options) error { return os.Mkdir(o.Path, 0o700) },
			[]string{"directory", "state.path"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			o := optionsIn(t)
			mustDo(t, c.prepare(t, &o))
			s, err := Open(o)
			if err == nil {
				s.Close()
				t.Fatal("it was opened")
			}
			mustName(t, err, append(c.words, filepath.Dir(o.Path))...)
		})
	}
}

func TestAnothersFileIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("only root can give a file away; read-only permission is tested instead")
		o := optionsIn(t)
		mustClose(t, mustOpen(t, o))
		mustDo(t, os.Chmod(o.Path, 0o400))
		_, err := Open(o)
		if err == nil {
			t.Fatal("a read-only file was opened")
		}
		mustName(t, err, o.Path, "permission")
		return
	}
	o := optionsIn(t)
	mustClose(t, mustOpen(t, o))
	mustDo(t, os.Chown(o.Path, 12345, -1))
	_, err := Open(o)
	if err == nil {
		t.Fatal("somebody else's file was opened")
	}
	mustName(t, err, o.Path, "12345", "as its owner")
}

func TestASecondOpenNamesTheHolder(t *testing.T) {
	o := optionsIn(t)
	mustOpen(t, o)
	start := time.Now()
	_, err := Open(o)
	if !errors.Is(err, ErrHeld) {
		t.Fatalf("open says %v, want ErrHeld", err)
	}
	mustName(t, err, o.Path, fmt.Sprintf("process %d", os.Getpid()), "control socket")
	if waited := time.Since(start); waited > 5*time.Second {
		t.Errorf("it waited %v", waited)
	}
	if err := Init(o, true); !errors.Is(err, ErrHeld) {
		t.Errorf("init says %v, want ErrHeld", err)
	}
}

func TestTheFileIsPrivate(t *testing.T) {
	o := optionsIn(t)
	s := mustOpen(t, o)
	mustDo(t, write(s, "a", true))
	for _, path := range []string{o.Path, sidePath(o.Path)} {
		info, err := os.Stat(path)
		mustDo(t, err)
		if got := info.Mode().Perm(); got != 0o600 {
			t.Errorf("%s has mode %v, want 0600", path, got)
		}
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(o.Path), "*"))
	hidden, err2 := filepath.Glob(filepath.Join(filepath.Dir(o.Path), ".*"))
	mustDo(t, err, err2)
	if len(left)+len(hidden) != 2 {
		t.Errorf("left in the directory: %v %v", left, hidden)
	}
}

func TestErrorsOfOpeningSayWhatToDo(t *testing.T) {
	for errno, words := range map[syscall.Errno][]string{
		syscall.EROFS:  {"read-only", "mount the file system writable", "state.path"},
		syscall.EACCES: {"permission denied", "needs read and write permission", strconv.Itoa(os.Geteuid())},
		syscall.EIO:    {"input/output error", "regular file"},
	} {
		cause := &os.PathError{Op: "open", Path: "/var/lib/backstop/backstop.db", Err: errno}
		mustName(t, openError(cause.Path, cause), append(words, cause.Path)...)
	}
}

// Many processes that start at once on an empty directory: one makes the state, and the others use it or find it in use.
func TestOnlyOneMakesTheState(t *testing.T) {
	o := optionsIn(t)
	var all sync.WaitGroup
	opened := make(chan *Store, 8)
	for range 8 {
		all.Go(func() {
			s, err := Open(o)
			switch {
			case err == nil:
				opened <- s
			case !errors.Is(err, ErrHeld):
				t.Errorf("open says %v, want ErrHeld", err)
			}
		})
	}
	all.Wait()
	close(opened)
	n := 0
	for s := range opened {
		n++
		mustDo(t, write(s, "a", true), s.Close())
	}
	if n != 1 {
		t.Errorf("%d opened it, want 1", n)
	}
}
