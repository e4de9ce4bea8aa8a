package state

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// deepLook bounds the look at a file that is not as a clean stop left it.
const deepLook = 2 * time.Second

// imprint is how the state file looked when it was last known to be whole. A file that looks otherwise was written to since: by
// a process that was killed, or by something that is not backstop. It costs one look at the directory.
type imprint struct {
	Size    int64  `json:"size"`
	Changed int64  `json:"changed"` // nanoseconds of unix time
	Inode   uint64 `json:"inode"`
}

func imprintOf(info fs.FileInfo) imprint {
	return imprint{Size: info.Size(), Changed: info.ModTime().UnixNano(), Inode: info.Sys().(*syscall.Stat_t).Ino}
}

// imprint looks at our file; zero, which no file looks like, when the path names another one.
func (s *Store) imprint() imprint {
	info, err := os.Lstat(s.options.Path)
	if err != nil || identityOf(info) != s.opened {
		return imprint{}
	}
	return imprintOf(info)
}

// trusts reports whether the file is the one that a clean stop left. Without a side file nobody knows.
func (f *sideFile) trusts(file *os.File) bool {
	info, err := file.Stat()
	return f != nil && f.Clean && err == nil && f.Imprint == imprintOf(info)
}

// lookDeep lets go of the lock while another process looks at the file, and takes it again. It tells what was looked at to
// the end; zero when the file was too large for that, or somebody wrote to it meanwhile.
func lookDeep(f *os.File, o Options) (_ *os.File, looked imprint, err error) {
	before, err := f.Stat()
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, looked, fmt.Errorf("state file: %w; try again", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), deepLook)
	defer cancel()
	err = o.Deep(ctx, o.Path)
	switch {
	case ctx.Err() != nil:
		o.Logger.Info("the state is too large to be checked at the start after an unclean stop; `backstop state check` checks all of it")
	case err != nil:
		return nil, looked, err
	default:
		looked = imprintOf(before)
	}
	f, err = openLocked(o.Path, o.LockTimeout)
	return f, looked, err
}
