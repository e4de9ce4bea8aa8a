package secret

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
)

// maxSize bounds what is read from a file; no key or token is near it.
const maxSize = 64 << 10

// holder is what a Secret points at: a function, for fmt follows one pointer
// (as a bad verb for an unexported field does) and other printers follow all,
// but none looks into a function.
type holder struct{ vault func() *vault }

func hold(v *vault) *holder { return &holder{func() *vault { return v }} }

// vault holds a value. One of a text has no path.
type vault struct {
	path string // constant

	mu   sync.Mutex
	text string      // what was read last; guarded by mu
	read bool        // text is a value; guarded by mu
	info fs.FileInfo // the file as it was when text was read; guarded by mu
}

func (v *vault) value() (string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.path == "" {
		return v.text, nil
	}
	if v.read && v.freshLocked() {
		return v.text, nil
	}
	if _, err := v.loadLocked(); err != nil {
		return "", err
	}
	return v.text, nil
}

func (v *vault) refresh() (changed bool, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.path == "" || v.read && !v.info.Mode().IsRegular() {
		return false, nil
	}
	return v.loadLocked()
}

// freshLocked reports whether the file is still the one that was read. What is
// no regular file (a pipe of the shell) can be read only once and stays.
func (v *vault) freshLocked() bool {
	if !v.info.Mode().IsRegular() {
		return true
	}
	now, err := os.Stat(v.path)
	return err == nil && os.SameFile(now, v.info) &&
		now.Size() == v.info.Size() && now.ModTime().Equal(v.info.ModTime())
}

// loadLocked reads the file and reports whether the value differs from the
// last one. After an error the old value is kept for that comparison but is
// not handed out: a secret that was taken away is not used on.
func (v *vault) loadLocked() (changed bool, err error) {
	text, info, err := readFile(v.path)
	if err != nil {
		v.read = false
		return false, err
	}
	changed = v.text != text
	v.text, v.info, v.read = text, info, true
	return changed, nil
}

func readFile(path string) (string, fs.FileInfo, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", nil, explain(path, err)
	}
	defer f.Close()
	// The descriptor is asked, not the path, and before the reading: a file
	// replaced meanwhile is then read again, never taken for the old one.
	info, err := f.Stat()
	if err != nil {
		return "", nil, explain(path, err)
	}
	if info.IsDir() {
		return "", nil, fmt.Errorf("secret file %s: is a directory; name the file in it", path)
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return "", nil, explain(path, err)
	}
	text, err := trim(raw)
	if err != nil {
		return "", nil, fmt.Errorf("secret file %s: %w", path, err)
	}
	return text, info, nil
}

// explain turns a failure of the file system into one that says what to do.
// The path is named once, so the *fs.PathError is unwrapped.
func explain(path string, err error) error {
	var pathErr *fs.PathError
	cause := err
	if errors.As(err, &pathErr) {
		cause = pathErr.Err
	}
	remedy := "check that it is readable"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		remedy = "create it, or correct the path"
	case errors.Is(err, fs.ErrPermission):
		remedy = "make it readable for the user that runs backstop"
	}
	return fmt.Errorf("secret file %s: %w; %s", path, cause, remedy)
}

// trim takes off what editors and shells put around a value: a byte order mark
// before it and line ends after it. Other white space belongs to the value.
func trim(raw []byte) (string, error) {
	if len(raw) > maxSize {
		return "", fmt.Errorf("larger than %d bytes; it should hold the secret and nothing else", maxSize)
	}
	if bytes.HasPrefix(raw, []byte{0xff, 0xfe}) || bytes.HasPrefix(raw, []byte{0xfe, 0xff}) {
		return "", errors.New("is UTF-16; save it as plain text (UTF-8)")
	}
	text := strings.TrimPrefix(string(raw), "\ufeff")
	text = strings.TrimRight(text, "\r\n")
	if text == "" {
		return "", errors.New("is empty; write the secret into it")
	}
	return text, nil
}
