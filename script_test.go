package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"backstop/internal/receiver"
)

// The scripts run the whole program: real processes, signals, files and sockets.
// Beside it runs `backstop simulate` as HeyGen, and receiver as the user's.

func TestMain(m *testing.M) {
	testscript.Main(wide{m}, map[string]func(){
		"backstop": func() { os.Exit(run()) },
		"receiver": func() { os.Exit(receive(os.Args[1:])) },
		"careless": func() { os.Exit(careless(os.Args[1:])) },
		"hooks":    func() { os.Exit(hooks(os.Args[1:])) },
	})
}

// wide runs more scripts at once than there are processors: they mostly wait.
type wide struct{ *testing.M }

func (w wide) Run() int {
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if !chosen {
		_ = flag.Set("test.parallel", "6") // the flag of package testing is there
	}
	return w.M.Run()
}

// patience is how long anything may take that a script waits for.
const patience = 30 * time.Second

// What no output may ever show. The scripts have them in their environment.
const (
	scriptKey    = "key-5f3a0d"
	scriptSecret = "whsec_9c1b77"
	scriptToken  = "token-e2d481"
	scriptHeader = "header-77aa10"
)

// scriptConfig is the configuration of a script that brings none of its own.
// Events are judged from the first one on, and settle only where a script gives
// them an age.
const scriptConfig = `
heygen: {base_url: "http://${API}", rate: 0, timeout: 5s}
receiver: {url: "http://${RECEIVER}/hook?signed=query-31cc", headers: {X-Auth: "${SCRIPT_HEADER}"}}
schedule: {poll: "@every 1s", sweep: "@every 1h"}
reconcile: {settle: 5m, lookback: 1h, sweep_lookback: 24h, start: 2020-01-01}
replay: {rate: 0, backoff_min: 50ms, backoff_max: 200ms}
admin: {listen: "${ADMIN}"}
`

func TestScripts(t *testing.T) {
	ports := &portRange{}
	ports.next.Store(int64(20000 + os.Getpid()%1000*10))
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               func(e *testscript.Env) error { return prepare(e, ports) },
		Condition:           condition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "start": start, "end": end, "signal": signalled, "waitfor": waitFor, "until": until,
			"http": request, "json": jsonObject, "jsonlines": jsonLines, "samejson": sameJSON,
			"event": event, "deliveries": deliveries, "filled": filled, "overwrite": overwrite, "keep": keepValue,
		},
	})
}

// prepare gives a script its own addresses, secrets and configuration, and
// nothing of this machine's.
func prepare(e *testscript.Env, ports *portRange) error {
	for _, name := range []string{"API", "RECEIVER", "ADMIN", "TAP", "HOOKS"} {
		address, err := ports.free()
		if err != nil {
			return err
		}
		e.Setenv(name, address)
	}
	e.Setenv("HEYGEN_API_KEY", scriptKey)
	e.Setenv("HEYGEN_WEBHOOK_SECRET", scriptSecret)
	e.Setenv("SCRIPT_TOKEN", scriptToken)
	e.Setenv("SCRIPT_HEADER", scriptHeader)
	e.Setenv("ESC", "\x1b")
	e.Values[partnersKey{}] = map[string]*partner{}
	for name, value := range map[string]time.Duration{"MINUTE_AGO": time.Minute, "HOUR_AGO": time.Hour} {
		e.Setenv(name, time.Now().Add(-value).UTC().Format(time.RFC3339))
	}
	file := filepath.Join(e.WorkDir, "config.yaml")
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	return os.WriteFile(file, []byte(scriptConfig), 0o600)
}

// condition is [has:PROGRAM]: it is installed. Where everything has to be there
// it is an error that it is not.
func condition(text string) (bool, error) {
	name, ok := strings.CutPrefix(text, "has:")
	if !ok {
		return false, fmt.Errorf("unknown condition %q", text)
	}
	_, err := exec.LookPath(name)
	if err != nil && os.Getenv("BACKSTOP_REQUIRE_ALL") == "1" {
		return false, fmt.Errorf("%s is not installed: apt-get install %[1]s", name)
	}
	return err == nil, nil
}

// portRange hands out ports from below those that the system gives to outgoing
// connections, so that nobody takes one between the look and its use.
type portRange struct{ next atomic.Int64 }

func (p *portRange) free() (string, error) {
	for range 1000 {
		address := fmt.Sprintf("127.0.0.1:%d", 20000+p.next.Add(1)%12000)
		if l, err := net.Listen("tcp", address); err == nil {
			return address, l.Close()
		}
	}
	return "", errors.New("no free port between 20000 and 32000")
}

// exits CODE PROGRAM ARG…: the program ends with that code. What it printed is
// looked through, and can be matched by stdout and stderr.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(arg(ts, neg, args, 2)[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	inspect(ts, "stdout", ts.ReadFile("stdout"))
	inspect(ts, "stderr", ts.ReadFile("stderr"))
	if got := codeOf(ts, err); got != want {
		ts.Fatalf("%s exits %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

func codeOf(ts *testscript.TestScript, err error) int {
	ended := (*exec.ExitError)(nil)
	if errors.As(err, &ended) {
		return ended.ExitCode()
	}
	ts.Check(err)
	return 0
}

// inspect refuses what must not be in any output that goes to no terminal.
func inspect(ts *testscript.TestScript, where, text string) {
	for what, bad := range map[string]string{
		"an escape": "\x1b", "a panic": "panic:", "a race": "DATA RACE",
		"the API key": scriptKey, "the secret": scriptSecret, "the token": scriptToken, "a header": scriptHeader,
	} {
		if strings.Contains(text, bad) {
			ts.Fatalf("%s has %s:\n%s", where, what, text)
		}
	}
}

// arg checks a command's arguments.
func arg(ts *testscript.TestScript, neg bool, args []string, least int) []string {
	if neg || len(args) < least {
		ts.Fatalf("want at least %d arguments and no !, got %q", least, args)
	}
	return args
}

type partnersKey struct{}

// partner is a program in the background. Its output is in NAME.out and
// NAME.err, its process id in $NAME.
type partner struct {
	cmd   *exec.Cmd
	files []string
	done  chan struct{}
	err   error // of Wait, once done is closed
}

// start NAME PROGRAM ARG… runs a program until end, or the script's.
func start(ts *testscript.TestScript, neg bool, args []string) {
	name := arg(ts, neg, args, 2)[0]
	p := &partner{done: make(chan struct{}), files: []string{ts.MkAbs(name + ".out"), ts.MkAbs(name + ".err")}}
	program, err := exec.LookPath(args[1])
	ts.Check(err)
	p.cmd = exec.Command(program, args[2:]...)
	p.cmd.Dir, p.cmd.Env = ts.MkAbs("."), environ(ts)
	out, err := os.Create(p.files[0])
	ts.Check(err)
	log, err := os.Create(p.files[1])
	ts.Check(err)
	p.cmd.Stdout, p.cmd.Stderr = out, log
	ts.Check(p.cmd.Start())
	go func() {
		defer close(p.done)
		p.err = errors.Join(p.cmd.Wait(), out.Close(), log.Close())
	}()
	partners(ts)[name] = p
	ts.Setenv(name, strconv.Itoa(p.cmd.Process.Pid))
	ts.Defer(func() {
		_ = p.cmd.Process.Kill() // it may have ended long ago
		<-p.done
	})
}

// environ is the script's environment, which only its programs are shown.
func environ(ts *testscript.TestScript) []string {
	ts.Check(ts.Exec("env", "-0"))
	return strings.Split(strings.TrimSuffix(ts.ReadFile("stdout"), "\x00"), "\x00")
}

func partners(ts *testscript.TestScript) map[string]*partner {
	return ts.Value(partnersKey{}).(map[string]*partner)
}

func partnerNamed(ts *testscript.TestScript, name string) *partner {
	p := partners(ts)[name]
	if p == nil {
		ts.Fatalf("nothing named %q was started", name)
	}
	return p
}

// signal NAME SIGNAL
func signalled(ts *testscript.TestScript, neg bool, args []string) {
	p := partnerNamed(ts, arg(ts, neg, args, 2)[0])
	known := map[string]syscall.Signal{
		"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "STOP": syscall.SIGSTOP, "CONT": syscall.SIGCONT,
		"KILL": syscall.SIGKILL, "NONE": 0,
	}
	ts.Check(p.cmd.Process.Signal(known[args[1]]))
}

// stopTime is how long a program may take to stop when it is asked to.
const stopTime = 5 * time.Second

// end NAME CODE [SIGNAL]: signals the program (TERM; NONE for a program that is
// about to end by itself), which then ends in under five seconds with that code.
// A program that a signal killed has the code -1.
func end(ts *testscript.TestScript, neg bool, args []string) {
	p := partnerNamed(ts, arg(ts, neg, args, 2)[0])
	if len(args) == 2 {
		args = append(args, "TERM")
	}
	want, limit := args[1], stopTime
	if args[2] == "NONE" {
		limit = patience
	} else {
		signalled(ts, false, []string{args[0], args[2]})
	}
	select {
	case <-p.done:
	case <-time.After(limit):
		ts.Fatalf("%s has not ended after %s", args[0], limit)
	}
	for _, file := range p.files {
		text, err := os.ReadFile(file)
		ts.Check(err)
		inspect(ts, file, string(text))
	}
	if got := strconv.Itoa(codeOf(ts, p.err)); got != want {
		ts.Fatalf("%s exits %s, want %s: %s", args[0], got, want, ts.ReadFile(args[0]+".err"))
	}
}

// eventually looks until done, or fails with what the last look said.
func eventually(ts *testscript.TestScript, what string, look func() (done bool, saw string)) {
	deadline := time.Now().Add(patience)
	for {
		done, saw := look()
		if done {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s: not after %s; last: %s", what, patience, saw)
		}
		time.Sleep(40 * time.Millisecond) // between two looks
	}
}

// waitfor STATUS URL [REGEXP]: until it answers so; 0 is no answer. waitfor line FILE REGEXP:
// until the file has such a line.
func waitFor(ts *testscript.TestScript, neg bool, args []string) {
	look := func() (matches bool, text string) {
		status, body, err := ask(http.MethodGet, args[1], nil, nil)
		return strconv.Itoa(status) == args[0], fmt.Sprint(status, " ", body, err)
	}
	if arg(ts, neg, args, 2)[0] == "line" {
		look = func() (bool, string) { return true, ts.ReadFile(args[1]) }
	}
	pattern := regexp.MustCompile("(?m)" + append(args, "")[2])
	eventually(ts, strings.Join(args, " "), func() (bool, string) {
		matches, text := look()
		return matches && pattern.MatchString(text), text
	})
}

// until REGEXP PROGRAM ARG…: runs the program until its stdout matches.
func until(ts *testscript.TestScript, neg bool, args []string) {
	pattern := regexp.MustCompile("(?m)" + arg(ts, neg, args, 2)[0])
	eventually(ts, strings.Join(args, " "), func() (bool, string) {
		_ = ts.Exec(args[1], args[2:]...) // a code that is not 0 is often why it goes on
		return pattern.MatchString(ts.ReadFile("stdout")), ts.ReadFile("stdout") + ts.ReadFile("stderr")
	})
}

// http STATUS METHOD URL [FILE|- [HEADER…]]: sends the file and gets that status;
// the answer can be matched by stdout.
func request(ts *testscript.TestScript, neg bool, args []string) {
	arg(ts, neg, args, 3)
	var body []byte
	if len(args) > 3 && args[3] != "-" {
		body = []byte(ts.ReadFile(args[3]))
	}
	status, answer, err := ask(args[1], args[2], body, args[min(len(args), 4):])
	ts.Check(err)
	_, err = fmt.Fprintln(ts.Stdout(), strings.TrimSuffix(answer, "\n"))
	ts.Check(err)
	inspect(ts, args[2], answer)
	if strconv.Itoa(status) != args[0] {
		ts.Fatalf("%s %s answers %d, want %s: %s", args[1], args[2], status, args[0], answer)
	}
}

func ask(method, url string, body []byte, headers []string) (status int, answer string, err error) {
	r, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	for _, header := range headers {
		key, value, _ := strings.Cut(header, ": ")
		r.Header.Set(key, value)
		if key == "Host" {
			r.Host = value
		}
	}
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

// json FILE PATH=VALUE…: the file is one line, a JSON object with these values;
// an absent one is "<nil>". Of stderr it is the last line, behind the log.
func jsonObject(ts *testscript.TestScript, neg bool, args []string) {
	text := ts.ReadFile(arg(ts, neg, args, 1)[0])
	if args[0] == "stderr" {
		lines := strings.SplitAfter(text, "\n")
		text = lines[max(0, len(lines)-2)]
	}
	checkLine(ts, text, args[1:])
}

// jsonlines FILE COUNT PATH=VALUE…: so many lines, each a JSON object with these
// values.
func jsonLines(ts *testscript.TestScript, neg bool, args []string) {
	lines := slices.Collect(strings.Lines(ts.ReadFile(arg(ts, neg, args, 2)[0])))
	if strconv.Itoa(len(lines)) != args[1] {
		ts.Fatalf("%d lines, want %s:\n%s", len(lines), args[1], strings.Join(lines, ""))
	}
	for _, line := range lines {
		checkLine(ts, line, args[2:])
	}
}

func checkLine(ts *testscript.TestScript, line string, wants []string) {
	if strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, "\n") {
		ts.Fatalf("not one line: %q", line)
	}
	object := parseObject(ts, line)
	for _, want := range wants {
		path, value, _ := strings.Cut(want, "=")
		if got := valueAt(object, path); got != value {
			ts.Fatalf("%s is %q, want %q in %s", path, got, value, line)
		}
	}
}

func parseObject(ts *testscript.TestScript, text string) map[string]any {
	var object map[string]any
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&object); err != nil {
		ts.Fatalf("no JSON object: %v: %q", err, text)
	}
	return object
}

// valueAt finds a.b.0 in an object.
func valueAt(value any, path string) string {
	for _, key := range strings.Split(path, ".") {
		switch v := value.(type) {
		case map[string]any:
			value = v[key]
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i >= len(v) {
				return "<nil>"
			}
			value = v[i]
		default:
			return "<nil>"
		}
	}
	return fmt.Sprint(value)
}

// samejson FILE FILE [KEY…]: two equal objects, but for these keys.
func sameJSON(ts *testscript.TestScript, neg bool, args []string) {
	arg(ts, neg, args, 2)
	var texts [2]string
	for i := range texts {
		object := parseObject(ts, ts.ReadFile(args[i]))
		for _, key := range args[2:] {
			delete(object, key)
		}
		texts[i] = fmt.Sprint(object)
	}
	if texts[0] != texts[1] {
		ts.Fatalf("%s: %s\n%s: %s", args[0], texts[0], args[1], texts[1])
	}
}

// event NAME [KEY=VALUE…]: HeyGen makes an event, whose id is in $NAME. The keys
// are push, event_type, entity_id, hidden, age (of created_at), and count, for
// several of which the last has the name.
func event(ts *testscript.TestScript, neg bool, args []string) {
	recipe, count := map[string]string{}, 1
	for _, pair := range arg(ts, neg, args, 1)[1:] {
		key, value, _ := strings.Cut(pair, "=")
		var err error
		switch key {
		case "age":
			var age time.Duration
			age, err = time.ParseDuration(value)
			recipe["created_at"] = time.Now().Add(-age).UTC().Format(time.RFC3339)
		case "count":
			count, err = strconv.Atoi(value)
		default:
			recipe[key] = value
		}
		ts.Check(err)
	}
	body, err := json.Marshal(recipe)
	ts.Check(err)
	for range count {
		status, answer, err := ask(http.MethodPost, "http://"+ts.Getenv("API")+"/simulate/event", body, nil)
		ts.Check(err)
		if status != http.StatusCreated {
			ts.Fatalf("the stand-in answers %d: %s", status, answer)
		}
		ts.Setenv(args[0], valueAt(parseObject(ts, answer), "event_id"))
	}
}

// deliveries ID WHAT…: the receiver gets, and has in this order, these of the
// event: "push 200", "replay 404 missed".
func deliveries(ts *testscript.TestScript, neg bool, args []string) {
	id := arg(ts, neg, args, 1)[0]
	eventually(ts, strings.Join(args, " "), func() (bool, string) {
		_, text, err := ask(http.MethodGet, "http://"+ts.Getenv("RECEIVER")+"/log", nil, nil)
		ts.Check(err)
		var got []string
		for line := range strings.Lines(text) {
			if what, ok := strings.CutPrefix(strings.TrimSpace(line), id+" "); ok {
				got = append(got, what)
			}
		}
		return slices.Equal(got, args[1:]), strings.Join(got, ", ")
	})
}

// filled FILE SIZE: makes a file of so many bytes, one JSON string.
func filled(ts *testscript.TestScript, neg bool, args []string) {
	size, err := strconv.Atoi(arg(ts, neg, args, 2)[1])
	ts.Check(err)
	text := `{"event_id":"` + strings.Repeat("x", size-15) + `"}`
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

// overwrite FILE OFFSET COUNT: writes so many 0xff into it; with a COUNT of 0 the
// file is cut off there.
func overwrite(ts *testscript.TestScript, neg bool, args []string) {
	offset, err := strconv.ParseInt(arg(ts, neg, args, 3)[1], 10, 64)
	ts.Check(err)
	count, err := strconv.Atoi(args[2])
	ts.Check(err)
	if count == 0 {
		ts.Check(os.Truncate(ts.MkAbs(args[0]), offset))
		return
	}
	file, err := os.OpenFile(ts.MkAbs(args[0]), os.O_RDWR, 0)
	ts.Check(err)
	_, err = file.WriteAt(bytes.Repeat([]byte{0xff}, count), offset)
	ts.Check(errors.Join(err, file.Close()))
}

// receive is the user's webhook endpoint as a program: receiver ADDRESS [REPORT
// [TOKEN]]. GET /log tells what came and was answered, PUT /answer/STATUS what it
// answers from now on, also to those who take it for HeyGen; 0 is never. The body
// of the PUT is that of the answers: see speech.
func receive(args []string) int {
	var status atomic.Int64
	status.Store(http.StatusOK)
	args = append(args, "", "")
	r := receiver.New(receiver.Options{
		Secrets: []string{os.Getenv("HEYGEN_WEBHOOK_SECRET")}, Strict: true, Report: args[1], Token: args[2],
		Answer: func(receiver.Delivery, int) int {
			if status.Load() == 0 {
				select {} // until this process is killed
			}
			return int(status.Load())
		},
	})
	var says atomic.Pointer[speech]
	says.Store(&speech{})
	mux := http.NewServeMux()
	kept := &bodies{last: map[string][]byte{}}
	answering := func(w http.ResponseWriter, q *http.Request) { says.Load().serve(w, q, r.Handler()) }
	mux.Handle("/", kept.of(http.HandlerFunc(answering)))
	mux.HandleFunc("GET /body/{id}", kept.serve)
	mux.HandleFunc("GET /log", func(w http.ResponseWriter, _ *http.Request) { writeLog(w, r.Log()) })
	mux.HandleFunc("GET /v3/webhooks/events", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(status.Load())) })
	mux.HandleFunc("PUT /answer/{status}", func(w http.ResponseWriter, q *http.Request) {
		n, err := strconv.Atoi(q.PathValue("status"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		says.Store(heard(q))
		status.Store(int64(n))
	})
	fmt.Fprintln(os.Stderr, http.ListenAndServe(args[0], mux))
	return 1
}

// speech is what a receiver says beside the status of its answers. In its body
// $NAME is a variable of the receiver's environment, a header of the request, or
// ESC, BEL, NUL, RLO, DOLLAR or LONG; headers of the answer are those that came as Answer-NAME.
type speech struct {
	body    string
	headers http.Header
}

func heard(q *http.Request) *speech {
	body, _ := io.ReadAll(q.Body)
	s := &speech{body: string(body), headers: http.Header{}}
	for name := range q.Header {
		if key, ok := strings.CutPrefix(name, "Answer-"); ok {
			s.headers.Set(key, q.Header.Get(name))
		}
	}
	return s
}

func (s *speech) serve(w http.ResponseWriter, q *http.Request, h http.Handler) {
	for name, values := range s.headers {
		w.Header()[name] = values
	}
	h.ServeHTTP(w, q)
	marks := map[string]string{
		"ESC": "\x1b", "BEL": "\a", "NUL": "\x00", "RLO": "\u202e", "DOLLAR": "$", "LONG": strings.Repeat("more and ", 10_000),
	}
	_, _ = io.WriteString(w, os.Expand(s.body, func(name string) string {
		if mark, ok := marks[name]; ok {
			return mark
		}
		if value := q.Header.Get(name); value != "" {
			return value
		}
		return os.Getenv(name)
	}))
}

func writeLog(w io.Writer, log []receiver.Delivery) {
	for _, d := range log {
		what := fmt.Sprintf("push %d", d.Status)
		if d.Replay {
			what = fmt.Sprintf("replay %d %s", d.Status, d.Reason)
		}
		fmt.Fprintf(w, "%s %s\n", d.ID, strings.TrimSpace(what))
	}
}
