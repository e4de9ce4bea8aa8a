package main_test

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// room is a folder's place in the house.
type room struct {
	floor int
	only  []string // when set, the only folders of ours it may import
	tests bool     // only tests may import it, and all of them
}

// rooms names every folder with Go files in it. Imports run down only: a folder
// imports folders on lower floors, never one on its own floor or above.
func rooms() map[string]room {
	return map[string]room{
		"internal/secret":      {floor: 0},
		"internal/log":         {floor: 0},
		"internal/exit":        {floor: 0},
		"internal/heygen":      {floor: 1},
		"internal/config":      {floor: 1},
		"internal/testserver":  {floor: 1, tests: true},
		"state":                {floor: 2},
		"poller":               {floor: 3},
		"reconcile":            {floor: 3},
		"reconcile/query":      {floor: 3, only: []string{"internal/heygen"}},
		"internal/simulate":    {floor: 3, only: []string{"internal/heygen"}},
		"internal/receiver":    {floor: 3, only: []string{"internal/heygen"}},
		"reconcile/sourcetest": {floor: 4, tests: true},
		"internal/metrics":     {floor: 3, only: []string{"state"}},
		"internal/doctor":      {floor: 3, only: []string{"internal/heygen"}},
		"internal/notify":      {floor: 3, only: []string{"internal/heygen", "state"}},
		"internal/engine":      {floor: 4},
		"internal/api":         {floor: 5},
		"internal/daemon":      {floor: 6},
		"internal/demo":        {floor: 7},
		"internal/command":     {floor: 8},
		".":                    {floor: 9},
		"bench":                {floor: 9},
		"docs/snippets/go":     {floor: 9, only: []string{}},
	}
}

// owners says which folder alone may import a library.
func owners() map[string]string {
	return map[string]string{
		"github.com/prometheus/client_golang": "internal/metrics",
		"go.etcd.io/bbolt":                    "state",
		"go.yaml.in/yaml":                     "internal/config",
		"github.com/jackc/pgx":                "reconcile/query",
		"github.com/go-sql-driver/mysql":      "reconcile/query",
		"modernc.org/sqlite":                  "reconcile/query",
	}
}

// source is one parsed Go file of the module.
type source struct {
	path, folder string
	file         *ast.File
	lines        int
}

func (s source) test() bool { return strings.HasSuffix(s.path, "_test.go") }

func (s source) imports() []string {
	var paths []string
	for _, spec := range s.file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue // the parser has refused the file already
		}
		paths = append(paths, path)
	}
	return paths
}

func TestImportsRunDownOnly(t *testing.T) {
	for _, s := range sources(t) {
		for _, path := range s.imports() {
			if why := refuse(s.folder, path, s.test()); why != "" {
				t.Errorf("%s imports %s: %s", s.path, path, why)
			}
		}
	}
}

func TestEveryFolderHasARoom(t *testing.T) {
	table, built := rooms(), map[string]bool{}
	for _, s := range sources(t) {
		built[s.folder] = true
	}
	for _, folder := range slices.Sorted(maps.Keys(built)) {
		if _, ok := table[folder]; !ok {
			t.Errorf("folder %s is not in the table of rooms: give it a floor in floors_test.go", folder)
		}
	}
	for _, folder := range slices.Sorted(maps.Keys(table)) {
		if !built[folder] {
			t.Errorf("the table of rooms names %s, which has no Go file", folder)
		}
	}
}

func TestRefuse(t *testing.T) {
	tests := []struct {
		folder, path string
		test         bool
		want         bool
	}{
		{folder: "state", path: "backstop/internal/heygen", want: false},
		{folder: "state", path: "backstop/poller", want: true},
		{folder: "poller", path: "backstop/reconcile", want: true},
		{folder: "poller", path: "backstop/internal/simulate", test: true, want: false},
		{folder: "state", path: "backstop/poller", test: true, want: true},
		{folder: "poller", path: "backstop/poller", test: true, want: false},
		{folder: "internal/simulate", path: "backstop/state", want: true},
		{folder: "internal/simulate", path: "backstop/internal/heygen", want: false},
		{folder: "state", path: "backstop/internal/new", want: true},
		{folder: "state", path: "go.etcd.io/bbolt", want: false},
		{folder: "state", path: "go.etcd.io/bbolt/errors", want: false},
		{folder: "internal/api", path: "go.etcd.io/bbolt/errors", want: true},
		{folder: "internal/config", path: "go.yaml.in/yaml/v3", want: false},
		{folder: "internal/command", path: "go.yaml.in/yaml/v3", test: true, want: true},
		{folder: "internal/command", path: "net/http", want: false},
		{folder: "reconcile", path: "backstop/reconcile/sourcetest", test: true, want: false},
		{folder: "internal/engine", path: "backstop/reconcile/sourcetest", want: true},
	}
	for _, tt := range tests {
		why := refuse(tt.folder, tt.path, tt.test)
		if got := why != ""; got != tt.want {
			t.Errorf("refuse(%q, %q, test %v) = %q, want a refusal: %v", tt.folder, tt.path, tt.test, why, tt.want)
		}
	}
}

// refuse says why folder may not import path, or "" when it may. A test may
// also use rooms of its own floor, as a walk's tests use the simulator, and itself.
func refuse(folder, path string, test bool) string {
	for library, owner := range owners() {
		if within(path, library) && folder != owner {
			return "only " + owner + " may"
		}
	}
	if !within(path, "backstop") {
		return ""
	}
	target := cmp.Or(strings.TrimPrefix(strings.TrimPrefix(path, "backstop"), "/"), ".")
	from, to := rooms()[folder], rooms()[target]
	if _, ok := rooms()[target]; !ok {
		return "it is not in the table of rooms"
	}
	if from.only != nil && !test && !slices.Contains(from.only, target) {
		return "it may import " + strings.Join(from.only, ", ") + " alone"
	}
	switch {
	case to.tests && test:
		return ""
	case to.tests:
		return "it is for tests alone"
	case from.floor > to.floor || test && from.floor == to.floor:
		return ""
	}
	return fmt.Sprintf("floor %d is not below floor %d", to.floor, from.floor)
}

func within(path, parent string) bool {
	return path == parent || strings.HasPrefix(path, parent+"/")
}

func TestNoVaguePackages(t *testing.T) {
	vague := []string{"util", "utils", "common", "helper", "helpers", "types", "models", "manager", "service"}
	for _, s := range sources(t) {
		name := strings.TrimSuffix(s.file.Name.Name, "_test")
		if slices.Contains(vague, name) || slices.Contains(vague, filepath.Base(s.folder)) {
			t.Errorf("%s: a package named %s says nothing of what it owns", s.path, name)
		}
	}
}

func TestNoInit(t *testing.T) {
	for _, s := range sources(t) {
		for _, decl := range s.file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s has an init function: call what it does where it is needed", s.path)
			}
		}
	}
}

func TestOnlyMainEndsTheProcess(t *testing.T) {
	for _, s := range sources(t) {
		if filepath.Base(s.path) == "main.go" || s.test() {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if name := ending(n); name != "" {
				t.Errorf("%s calls %s: return an error to main instead", s.path, name)
			}
			return true
		})
	}
}

// ending names the call by which a node ends the process, "" when it does not.
func ending(n ast.Node) string {
	call, ok := n.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	pkg, ok := call.X.(*ast.Ident)
	if !ok {
		return ""
	}
	name := pkg.Name + "." + call.Sel.Name
	if name == "os.Exit" || strings.HasPrefix(name, "log.Fatal") {
		return name
	}
	return ""
}

func TestMainIsShort(t *testing.T) {
	for _, s := range sources(t) {
		if s.path == "main.go" && s.lines >= 60 {
			t.Errorf("main.go has %d lines, want fewer than 60: signals and the exit code, no more", s.lines)
		}
	}
}

// sources parses every Go file of the module; folders that the go command
// leaves out are left out here, too.
func sources(t *testing.T) []source {
	t.Helper()
	var found []source
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return enter(path, d.Name())
		}
		if filepath.Ext(path) != ".go" {
			return nil
		}
		s, err := parse(path)
		found = append(found, s)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Fatal("no Go file found: the test must run in the module's root")
	}
	return found
}

func enter(path, name string) error {
	if path == "." {
		return nil
	}
	if name == "testdata" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") {
		return filepath.SkipDir
	}
	return nil
}

func parse(path string) (source, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return source{}, err
	}
	file, err := parser.ParseFile(token.NewFileSet(), path, text, parser.SkipObjectResolution)
	return source{
		path:   path,
		folder: filepath.ToSlash(filepath.Dir(path)),
		file:   file,
		lines:  strings.Count(string(text), "\n"),
	}, err
}
