package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// machine is what the figures were measured on.
type machine struct {
	CPUs     int     `json:"cpus"`
	Go       string  `json:"go"`
	MemoryGB float64 `json:"memory_gib"`
	SyncRate float64 `json:"fdatasyncs_per_second"` // of 4 KiB written in place, one after the other
}

func lookAt(dir string) (machine, error) {
	m := machine{CPUs: runtime.NumCPU(), Go: runtime.Version()}
	fields, err := procFields("/proc/meminfo")
	if err != nil {
		return m, err
	}
	m.MemoryGB = fields["MemTotal"] / (1 << 20)
	syncs, err := syncTimes(dir, 300)
	if err != nil {
		return m, err
	}
	m.SyncRate = 1 / median(syncs)
	return m, nil
}

func (m machine) String() string {
	return fmt.Sprintf("%d cores, %.0f GiB, %.0f fdatasyncs/s, %s, %s/%s", m.CPUs, m.MemoryGB, m.SyncRate, m.Go, runtime.GOOS, runtime.GOARCH)
}

// syncTimes writes 4 KiB in place and syncs them, n times, and gives the seconds of each.
func syncTimes(dir string, n int) (times []float64, err error) {
	f, err := os.Create(filepath.Join(dir, "syncs"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	page := make([]byte, 4096)
	for i := range n + 10 {
		page[0] = byte(i)
		begun := time.Now()
		if _, err := f.WriteAt(page, int64(i%64)*4096); err != nil {
			return nil, err
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			return nil, err
		}
		if i >= 10 { // the first ones grow the file
			times = append(times, time.Since(begun).Seconds())
		}
	}
	return times, nil
}
