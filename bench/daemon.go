package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// daemon is a running backstop.
type daemon struct {
	site    site
	cmd     *exec.Cmd
	said    bytes.Buffer
	admin   string        // URL of its admin listener
	ready   time.Duration // from its start until it said that it is ready
	stopped chan error
}

// start starts the daemon of a site and waits until it says that it is ready,
// in the way of systemd: state open, listeners open.
func (s site) start(ctx context.Context, admin string) (*daemon, error) {
	path := filepath.Join(s.dir, "notify")
	_ = os.Remove(path) // of a start before this one
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	defer socket.Close()
	d := &daemon{site: s, cmd: s.command(ctx, "run"), admin: "http://" + admin, stopped: make(chan error, 1)}
	d.cmd.Env = append(d.cmd.Env, "NOTIFY_SOCKET="+path)
	d.cmd.Stdout, d.cmd.Stderr = &d.said, &d.said
	begun := time.Now()
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { d.stopped <- d.cmd.Wait() }()
	if err := awaitReady(socket); err != nil {
		return nil, errors.Join(err, d.stop())
	}
	d.ready = time.Since(begun)
	return d, nil
}

func awaitReady(socket *net.UnixConn) error {
	message := make([]byte, 4096)
	if err := socket.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	for {
		n, err := socket.Read(message)
		if err != nil {
			return fmt.Errorf("wait for the daemon: %w", err)
		}
		if strings.Contains(string(message[:n]), "READY=1") {
			return nil
		}
	}
}

// stop ends the daemon and waits for it.
func (d *daemon) stop() error {
	_ = d.cmd.Process.Signal(os.Interrupt) // it may have ended
	if err := <-d.stopped; err != nil {
		return fmt.Errorf("backstop run: %w\n%s", err, d.said.String())
	}
	return nil
}

func (d *daemon) pid() int { return d.cmd.Process.Pid }

// freeAddress finds an address on loopback that nobody listens at.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// run starts a daemon in a new site that never polls by itself after the start.
func (b *bench) run(ctx context.Context, name, listing, more string) (*daemon, error) {
	admin, err := freeAddress()
	if err != nil {
		return nil, err
	}
	s, err := b.newSite(name, listing, more+fmt.Sprintf("\nadmin: {listen: %q}\n", admin))
	if err != nil {
		return nil, err
	}
	return s.start(ctx, admin)
}
