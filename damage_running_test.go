package main_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// runs starts the daemon and waits until it has made a pass.
func (p *patient) runs() *process {
	p.t.Helper()
	daemon := p.start(nil, "run")
	p.waitReady(daemon)
	return daemon
}

func (p *patient) waitReady(daemon *process) {
	p.t.Helper()
	client := http.Client{Transport: overSocket(filepath.Join(p.dir, "admin.sock"))}
	defer client.CloseIdleConnections()
	until(p.t, 30*time.Second, "the daemon is ready", func() bool {
		select {
		case <-daemon.done:
			p.t.Fatalf("the daemon ended: %s", p.said.tail())
		default:
		}
		answer, err := client.Get("http://backstop/readyz")
		if err != nil {
			return false
		}
		_ = answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
}

// endsBy gives the daemon something to commit until it ends by itself, with 1 and
// these words.
func (p *patient) endsBy(daemon *process, words ...string) {
	p.t.Helper()
	n := 0
	until(p.t, 40*time.Second, "the daemon ends", func() bool {
		n++
		_, _, _ = p.post("/v1/seen", fmt.Sprintf(`{"event_id":"evt_after_%d"}`, n)) // it has something to commit
		select {
		case <-daemon.done:
			return true
		default:
			return false
		}
	})
	if code := daemon.cmd.ProcessState.ExitCode(); code != 1 {
		p.t.Errorf("the daemon ended with %d, want 1: %s", code, p.said.tail())
	}
	for _, word := range append(words, p.state) {
		if !strings.Contains(p.said.String(), word) {
			p.t.Errorf("it does not say %q: %s", word, p.said.tail())
		}
	}
	p.calm()
}

// watching makes an installation that sends nothing by itself, so that what is
// sent after a damage shows.
func (w *ward) watching(t *testing.T) *patient {
	t.Helper()
	p := w.sound(t)
	p.verb("pause")
	return p
}

// What happens to the file under a running daemon: it ends with an error at its
// next commit, and the next start does what it should.
func (w *ward) underTheDaemon(t *testing.T) {
	t.Parallel()
	anew := func(p *patient) {
		p.refuses("status", []string{remedyAnew})
		p.startsAnew()
	}
	sameAgain := func(p *patient) { p.verb("status"); p.verb("state check"); p.calm() }
	for name, c := range map[string]struct {
		do    func(p *patient)
		words []string
		then  func(p *patient)
	}{
		"removed": {func(p *patient) { p.do(os.Remove(p.state)) }, []string{"was removed under the running process", remedyAnew}, anew},
		"replaced by a copy": {func(p *patient) {
			p.verb("state backup copy.db")
			p.do(os.Rename(filepath.Join(p.dir, "copy.db"), p.state))
		}, []string{"was replaced under the running process", "start again"}, sameAgain},
		"replaced by garbage": {func(p *patient) {
			p.write(p.state+".new", w.garbage())
			p.do(os.Rename(p.state+".new", p.state))
		}, []string{"was replaced under the running process", "start again"}, anew},
		"replaced by an older one": {func(p *patient) {
			p.write(p.state+".new", w.older)
			p.do(os.Rename(p.state+".new", p.state))
		}, []string{"was replaced under the running process", "start again"}, anew},
		"emptied":                  {func(p *patient) { p.do(os.Truncate(p.state, 0)) }, []string{"damaged", remedyAnew}, anew},
		"cut to one page":          {func(p *patient) { p.do(os.Truncate(p.state, 4096)) }, []string{"damaged", remedyAnew}, anew},
		"cut in half":              {func(p *patient) { p.do(os.Truncate(p.state, int64(w.used()/2/4096*4096))) }, []string{"damaged", remedyAnew}, anew},
		"zeroed":                   {func(p *patient) { p.overwrite(make([]byte, len(w.state))) }, []string{"damaged", remedyAnew}, anew},
		"overwritten with garbage": {func(p *patient) { p.overwrite(w.garbage()) }, []string{"damaged", remedyAnew}, anew},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := w.watching(t)
			daemon := p.runs()
			c.do(p)
			p.endsBy(daemon, c.words...)
			c.then(p)
		})
	}
}

// overwrite writes over the file as it lies, as a program with a wrong name does.
func (p *patient) overwrite(text []byte) {
	p.t.Helper()
	file, err := os.OpenFile(p.state, os.O_WRONLY, 0)
	p.do(err)
	_, err = file.Write(text)
	p.do(err)
	p.do(file.Close())
}

// asNobody runs a process as a user without rights.
func asNobody(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
}

// asOwner gives an installation to a user whom file modes bind. Root gives it to
// nobody; everybody else is bound already.
func (p *patient) asOwner() func(*exec.Cmd) {
	p.t.Helper()
	if os.Geteuid() != 0 {
		return func(*exec.Cmd) {}
	}
	p.do(os.Chmod(filepath.Dir(p.dir), 0o711)) // the test's own directory
	p.do(os.Chmod(filepath.Dir(filepath.Dir(p.binary)), 0o711))
	p.do(os.Chmod(p.dir, 0o700))
	p.do(filepath.WalkDir(p.dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(path, 65534, 65534)
	}))
	return asNobody
}

// Files and directories that may not be written to, and what to do, as printed.
func (w *ward) readOnly(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		path  func(p *patient) string
		mode  os.FileMode
		words []string
		mend  os.FileMode
	}{
		"file":            {func(p *patient) string { return p.state }, 0o400, []string{"permission denied", "needs read and write permission"}, 0o600},
		"unreadable file": {func(p *patient) string { return p.state }, 0, []string{"permission denied", "needs read and write permission"}, 0o600},
		"directory":       {func(p *patient) string { return p.dir }, 0o500, []string{"can't be written", "needs write permission on it"}, 0o700},
		"side file":       {func(p *patient) string { return p.state + ".side" }, 0, []string{"permission denied", "make it readable"}, 0o600},
	} {
		t.Run(name, func(t *testing.T) {
			p := w.sound(t)
			owner := p.asOwner()
			p.do(os.Chmod(c.path(p), c.mode))
			defer os.Chmod(c.path(p), 0o700)
			for _, verb := range []string{"status", "reconcile", "run", "state backup copy.db", "state compact"} {
				words := c.words
				if name == "directory" {
					p.refusesIn(verb, words, owner)
					continue
				}
				p.refuses(verb, words, owner)
			}
			p.do(os.Chmod(c.path(p), c.mend))
			p.verb("status", owner)
			p.verb("state check", owner)
		})
	}
}

// refusesIn is refuses where the directory is named in the place of the file.
func (p *patient) refusesIn(verb string, words []string, options ...func(*exec.Cmd)) {
	p.t.Helper()
	state := p.state
	p.state = filepath.Dir(state)
	p.refuses(verb, words, options...)
	p.state = state
}

// tmpfs mounts a small file system, which only root can.
func tmpfs(t *testing.T, size string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a small file system")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size+",mode=0700"); err != nil {
		t.Skipf("no small file system can be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// soundIn is sound with the state in another directory.
func (w *ward) soundIn(t *testing.T, dir string) *patient {
	t.Helper()
	p := w.admitIn(t, dir)
	p.write(p.state, w.state)
	p.write(p.state+".side", w.side)
	return p
}

func (w *ward) readOnlyFileSystem(t *testing.T) {
	t.Parallel()
	dir := tmpfs(t, "10m")
	p := w.soundIn(t, dir)
	p.do(syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
	for _, verb := range everyVerb() {
		p.refusesIn(verb, []string{"read-only file system"})
	}
	p.do(syscall.Mount("", dir, "", syscall.MS_REMOUNT, "size=200m"))
	p.verb("status")
	p.verb("state check")
}

// fill leaves that much of a file system.
func fill(t *testing.T, dir string, leave int64) (free func()) {
	t.Helper()
	var stat syscall.Statfs_t
	if err := syscall.Statfs(dir, &stat); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "ballast")
	if err := os.WriteFile(name, bytes.Repeat([]byte{1}, int(int64(stat.Bavail)*stat.Bsize-leave)), 0o600); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

// A full disk is no damage: the daemon takes no more, says so, and goes on by
// itself when there is room.
func (w *ward) diskFullAndFreed(t *testing.T) {
	t.Parallel()
	dir := tmpfs(t, "160m")
	p := w.soundIn(t, dir)
	p.verb("pause")
	daemon := p.runs()
	report := func(id string) (status int, answer string) {
		status, answer, err := p.post("/v1/seen", fmt.Sprintf(`{"event_id":%q}`, id))
		p.do(err)
		return status, answer
	}
	if status, answer := report("evt_before"); status != http.StatusOK {
		t.Fatalf("a report is answered %d: %s", status, answer)
	}
	free := fill(t, dir, 30<<20)
	status, answer := report("evt_full")
	if status != http.StatusServiceUnavailable || !strings.Contains(answer, "free some space") || !strings.Contains(answer, dir) {
		t.Errorf("a report to a full state is answered %d: %s", status, answer)
	}
	if _, said, code := p.try("state backup " + filepath.Join(p.dir, "copy.db")); code != 1 || !strings.Contains(said, "free some space") {
		t.Errorf("state backup: exit %d: %s", code, said)
	}
	free()
	p.verb("status") // it looks now, where the daemon by itself looks once a minute
	if status, answer := report("evt_full"); status != http.StatusOK {
		t.Errorf("a report to a state that has room again is answered %d: %s", status, answer)
	}
	if code := daemon.stop(); code != 0 {
		t.Errorf("the daemon ended with %d", code)
	}
	p.verb("state check")
	p.calm()
}

func (p *patient) post(path, body string) (status int, answer string, err error) {
	client := http.Client{Transport: overSocket(filepath.Join(p.dir, "admin.sock")), Timeout: 2 * time.Second}
	defer client.CloseIdleConnections()
	response, err := client.Post("http://backstop"+path, "application/json", strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	var text bytes.Buffer
	_, err = text.ReadFrom(response.Body)
	return response.StatusCode, text.String(), err
}

// Not one byte left: whatever can't be written is said, nothing is harmed, and
// all is well when there is room again.
func (w *ward) notOneByteLeft(t *testing.T) {
	t.Parallel()
	dir := tmpfs(t, "160m")
	p := w.soundIn(t, dir)
	p.verb("pause")
	knows := p.knows()
	free := fill(t, dir, 0)
	for _, verb := range []string{"reconcile", "seen add evt_1"} {
		if _, said, code := p.try(verb); code != 1 && code != 5 {
			t.Errorf("%s: exit %d: %s", verb, code, said)
		}
	}
	for _, verb := range []string{"state backup " + filepath.Join(p.dir, "copy.db"), "state compact"} {
		p.refusesIn(verb, []string{"free some space"})
	}
	p.calm()
	free()
	p.verb("state check")
	p.verb("reconcile")
	if after := p.knows(); len(after) < len(knows)/2 {
		t.Errorf("it knows %d bytes, before %d", len(after), len(knows))
	}
	p.calm()
}

// A copy that finds no room leaves nothing behind, and what was there.
func (w *ward) backupToAFullDisk(t *testing.T) {
	t.Parallel()
	dir := tmpfs(t, "64k")
	p := w.sound(t)
	copied := filepath.Join(dir, "copy.db")
	p.write(copied, []byte("an older copy"))
	if _, said, code := p.try("state backup " + copied); code != 1 || !strings.Contains(said, "see that there is room") {
		t.Errorf("exit %d: %s", code, said)
	}
	files, err := os.ReadDir(dir)
	p.do(err)
	if len(files) != 1 || string(p.read(copied)) != "an older copy" {
		t.Errorf("left behind: %v", files)
	}
}
