package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"backstop/internal/simulate"
)

// damageConfig sends at once what is missed, so that whatever trusts a damaged
// state shows at the receiver.
const damageConfig = `
heygen: {base_url: LISTING, api_key: any, rate: 0, page_size: 50}
receiver: {url: RECEIVER}
schedule: {poll: "@every 1s"}
reconcile: {settle: 1s, start: beginning}
replay: {rate: 0}
state: {path: STATE/backstop.db}
control: DIR/control.sock
admin: {listen: "unix:DIR/admin.sock"}
log: {format: text}
`

// ward is where damaged states are looked at: one HeyGen, one receiver that counts
// who calls, and a sound state that was closed cleanly, with missed events in it.
type ward struct {
	binary, listing, webhook string
	seed                     uint64
	state, side              []byte // sound
	older                    []byte // the same state, some commits before

	mu    sync.Mutex
	calls map[string]int // of the receiver, by path
	next  int
}

func newWard(t *testing.T) *ward {
	t.Helper()
	w := &ward{binary: build(t), seed: *seedFlag, calls: map[string]int{}}
	if w.seed == 0 {
		w.seed = rand.Uint64()
	}
	t.Logf("-seed %d", w.seed)
	world := simulate.New(simulate.Options{Seed: w.seed, Events: 150})
	w.listing = serve(t, world.Handler())
	w.webhook = serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.calls[r.URL.Path]++
	}))
	p := w.admit(t)
	for _, verb := range []string{"state init", "pause", "reconcile"} {
		p.verb(verb)
	}
	w.older = p.read(p.state)
	var ids []string
	for row := range readLines[struct {
		ID string `json:"event_id"`
	}](t, p.must("", "events", "--json")) {
		ids = append(ids, row.ID)
	}
	p.must(strings.Join(ids[:len(ids)/2], "\n"), "seen", "import", "-")
	p.verb("resume")
	p.verb("state compact") // nearly all of it is in use then
	w.state, w.side = p.read(p.state), p.read(p.state+".side")
	return w
}

// patient is one installation with a state of its own.
type patient struct {
	*site
	ward  *ward
	state string // the file
	hook  string // path of its receiver
}

// admit makes an installation without a state.
func (w *ward) admit(t *testing.T) *patient { return w.admitIn(t, "") }

// admitIn is admit with the state in another directory.
func (w *ward) admitIn(t *testing.T, dir string) *patient {
	t.Helper()
	w.mu.Lock()
	w.next++
	hook := "/hook/" + strconv.Itoa(w.next)
	w.mu.Unlock()
	if dir == "" {
		dir = "DIR"
	}
	config := strings.NewReplacer("LISTING", w.listing, "RECEIVER", w.webhook+hook, "STATE", dir).Replace(damageConfig)
	s := newSite(t, w.binary, config)
	return &patient{site: s, ward: w, hook: hook, state: filepath.Join(strings.ReplaceAll(dir, "DIR", s.dir), "backstop.db")}
}

// sound makes an installation with the sound state.
func (w *ward) sound(t *testing.T) *patient {
	t.Helper()
	p := w.admit(t)
	p.write(p.state, w.state)
	p.write(p.state+".side", w.side)
	return p
}

// sent is how often the receiver was called.
func (p *patient) sent() int {
	p.ward.mu.Lock()
	defer p.ward.mu.Unlock()
	return p.ward.calls[p.hook]
}

func (p *patient) read(path string) []byte {
	p.t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		p.t.Fatal(err)
	}
	return text
}

func (p *patient) write(path string, text []byte) {
	p.t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		p.t.Fatal(err)
	}
}

func (p *patient) do(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// try runs a verb and gives all it said.
func (p *patient) try(verb string, options ...func(*exec.Cmd)) (out, said string, code int) {
	p.t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := p.command(strings.Fields(verb)...)
	cmd.Stdout, cmd.Stderr = io.MultiWriter(&stdout, &p.said), io.MultiWriter(&stderr, &p.said)
	for _, option := range options {
		option(cmd)
	}
	if err, exit := cmd.Run(), (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		p.t.Fatalf("backstop %s: %v", verb, err)
	}
	return stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
}

// verb runs one that may leave something missed, but may not fail.
func (p *patient) verb(verb string, options ...func(*exec.Cmd)) {
	p.t.Helper()
	if _, said, code := p.try(verb, options...); code != 0 && code != 5 {
		p.t.Fatalf("backstop %s: exit %d: %s", verb, code, said)
	}
}

// refuses fails the test unless a verb ends with 1 and says all of the words,
// among them the file, shows no trace of a crash, and calls nobody.
func (p *patient) refuses(verb string, words []string, options ...func(*exec.Cmd)) {
	p.t.Helper()
	out, said, code := p.try(verb, options...)
	if code != 1 || out != "" {
		p.t.Errorf("backstop %s: exit %d, want 1; it printed %q and said %q", verb, code, out, said)
	}
	for _, word := range append(words, p.state) {
		if !strings.Contains(said, word) {
			p.t.Errorf("backstop %s does not say %q: %s", verb, word, said)
		}
	}
	p.calm()
}

// calm fails the test when anything crashed, or anything was sent.
func (p *patient) calm() {
	p.t.Helper()
	text := p.said.String()
	for _, trace := range []string{"goroutine ", "panic:", "fatal error", "SIGSEGV", "SIGBUS", "runtime.gopanic"} {
		if strings.Contains(text, trace) {
			p.t.Errorf("there is %q in what was said: %s", trace, p.said.tail())
		}
	}
	if n := p.sent(); n > 0 {
		p.t.Errorf("the receiver was called %d times", n)
	}
}

// everyVerb is what a person, a timer and a unit would start.
func everyVerb() []string {
	return []string{"status", "reconcile", "diff", "run", "seen add evt_1", "state backup copy.db"}
}

// startsAnew follows the remedy as it is printed, and makes sure that it works.
func (p *patient) startsAnew(options ...func(*exec.Cmd)) {
	p.t.Helper()
	p.verb("state init --force", options...)
	for _, verb := range []string{"status", "reconcile", "state check"} {
		p.verb(verb, options...)
	}
	p.calm()
}

// knows is all that a state can be asked for.
func (p *patient) knows() string {
	p.t.Helper()
	text := p.must("", "state", "check") + p.must("", "events", "--json") + p.must("", "seen", "export")
	var info map[string]any
	p.do(json.Unmarshal([]byte(p.must("", "state", "info", "--json")), &info))
	for _, key := range []string{"path", "size_bytes", "used_bytes"} {
		delete(info, key)
	}
	rest, err := json.Marshal(info)
	p.do(err)
	return text + string(rest)
}

const remedyAnew = "backstop state init --force"

// The state file is damaged in every way that we know of, before a start and under
// the running daemon; and what copies and rewrites it is killed. Whatever happens:
// an error that names the file and what to do, which then works, and nobody is
// called because of it.
func TestDamage(t *testing.T) {
	w := newWard(t)
	for name, test := range map[string]func(*testing.T){
		"at the start":          w.atTheStart,
		"truncated":             w.truncated,
		"zeroed pages":          w.zeroedPages,
		"flipped bits":          w.flippedBits,
		"under the daemon":      w.underTheDaemon,
		"read-only":             w.readOnly,
		"read-only file system": w.readOnlyFileSystem,
		"disk full and freed":   w.diskFullAndFreed,
		"not one byte left":     w.notOneByteLeft,
		"backup to a full disk": w.backupToAFullDisk,
		"killed backup":         w.killedBackup,
		"killed compact":        w.killedCompact,
	} {
		t.Run(name, test)
	}
}

// What is wrong with a state file at the start of a process: each damage is
// refused by every verb, and the remedy works.
func (w *ward) atTheStart(t *testing.T) {
	t.Parallel()
	t.Run("none", func(t *testing.T) { // what the others are measured by
		p := w.sound(t)
		p.verb("reconcile")
		if p.sent() == 0 {
			t.Error("the sound state sends nothing: the test is too tame")
		}
	})
	for name, c := range map[string]struct {
		do    func(p *patient)
		words []string
	}{
		"empty":                     {func(p *patient) { p.write(p.state, nil) }, []string{"damaged", "it is empty", remedyAnew}},
		"removed":                   {func(p *patient) { p.do(os.Remove(p.state)) }, []string{"lost", remedyAnew}},
		"garbage":                   {func(p *patient) { p.write(p.state, w.garbage()) }, []string{"damaged", remedyAnew}},
		"text":                      {func(p *patient) { p.write(p.state, bytes.Repeat([]byte("notes\n"), 9000)) }, []string{"damaged", remedyAnew}},
		"zeroed":                    {func(p *patient) { p.write(p.state, make([]byte, len(w.state))) }, []string{"damaged", remedyAnew}},
		"garbage behind the header": {func(p *patient) { p.write(p.state, append(bytes.Clone(w.state[:8192]), w.garbage()[8192:]...)) }, []string{"damaged", remedyAnew}},
		"rolled back":               {func(p *patient) { p.write(p.state, w.older) }, []string{"not the newest", "commit", remedyAnew}},
		"another's": {func(p *patient) {
			other := w.admit(p.t)
			other.verb("state init")
			p.write(p.state, other.read(other.state))
		}, []string{"not the newest", "not the state", remedyAnew}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := w.sound(t)
			c.do(p)
			for _, verb := range everyVerb() {
				p.refuses(verb, c.words)
			}
			p.refuses("state check", c.words)
			p.startsAnew()
		})
	}
}

func (w *ward) garbage() []byte {
	random, text := rand.New(rand.NewPCG(w.seed, 1)), make([]byte, len(w.state))
	for i := range text {
		text[i] = byte(random.Uint32())
	}
	return text
}

// A file that was cut off anywhere.
func (w *ward) truncated(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(w.seed, 2))
	used := w.used()
	lengths := []int{1, 16, 100, 4095, 4096, 8191, 8192, 8193, 12288, 16384, used / 2, used - 4096, used - 1}
	for range 10 {
		lengths = append(lengths, random.IntN(used))
	}
	for _, length := range lengths {
		t.Run(strconv.Itoa(length), func(t *testing.T) {
			t.Parallel()
			p := w.sound(t)
			p.do(os.Truncate(p.state, int64(length)))
			p.refuses("status", []string{"damaged", remedyAnew})
			p.refuses("reconcile", []string{"damaged", remedyAnew})
			if length%3 == 0 {
				p.startsAnew()
			}
		})
	}
}

// used is where the pages of the sound state end; what follows is room to grow.
func (w *ward) used() int { return len(bytes.TrimRight(w.state, "\x00"))/4096*4096 + 4096 }

// harmed looks at a state that was changed somewhere. Either every verb refuses
// it, or nothing that can be asked for is different.
func (p *patient) harmed(knows string) (refused bool) {
	p.t.Helper()
	_, said, code := p.try("status")
	p.calm()
	switch code {
	case 0:
		if p.knows() != knows {
			p.t.Errorf("it was taken for sound, and knows something else: %s", p.said.tail())
		}
		return false
	case 1:
		for _, word := range []string{p.state, remedyAnew} {
			if !strings.Contains(said, word) {
				p.t.Errorf("status does not say %q: %s", word, said)
			}
		}
		p.refuses("reconcile", nil)
		return true
	}
	p.t.Errorf("status: exit %d: %s", code, said)
	return true
}

// harmEach looks at n states, each changed in one place, and counts how many are
// refused.
func (w *ward) harmEach(t *testing.T, n int, change func(i int, file []byte)) {
	t.Helper()
	knows := w.sound(t).knows()
	var looked, refused atomic.Int64
	t.Run("each", func(t *testing.T) {
		for i := range n {
			t.Run(strconv.Itoa(i), func(t *testing.T) {
				t.Parallel()
				looked.Add(1)
				p, file := w.sound(t), bytes.Clone(w.state)
				change(i, file)
				p.write(p.state, file)
				if p.harmed(knows) {
					refused.Add(1)
					if i%10 == 0 {
						p.startsAnew()
					}
				}
			})
		}
	})
	t.Logf("%d of %d are refused, the others harm nothing", refused.Load(), looked.Load())
	if refused.Load() < looked.Load()/4 {
		t.Error("the test is too tame")
	}
}

// Single pages that a disk lost.
func (w *ward) zeroedPages(t *testing.T) {
	t.Parallel()
	w.harmEach(t, w.used()/4096, func(page int, file []byte) { clear(file[page*4096:][:4096]) })
}

// Bits that a disk turned over, or a memory on the way to it.
func (w *ward) flippedBits(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(w.seed, 3))
	at := make([]int, 80)
	for i := range at {
		at[i] = random.IntN(w.used() * 8)
	}
	w.harmEach(t, len(at), func(i int, file []byte) { file[at[i]/8] ^= 1 << (at[i] % 8) })
}
