package main_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A dependency that nobody gave a reason for, and a reason for a dependency
// that is gone, are both mistakes.
func TestDependenciesAreExplained(t *testing.T) {
	pinned, explained := directModules(read(t, "go.mod")), rows(read(t, "docs/dependencies.md"))
	for _, module := range slices.Sorted(maps.Keys(pinned)) {
		if explained[module] != pinned[module] {
			t.Errorf("go.mod has %s %s, docs/dependencies.md has version %q", module, pinned[module], explained[module])
		}
	}
	for _, module := range slices.Sorted(maps.Keys(explained)) {
		if pinned[module] == "" {
			t.Errorf("docs/dependencies.md explains %s, which go.mod does not require directly", module)
		}
	}
}

// directModules gives the version of every module that go.mod requires for
// code or tools of our own.
func directModules(gomod string) map[string]string {
	all, direct, tools := map[string]string{}, map[string]string{}, []string{}
	for line := range strings.Lines(gomod) {
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		switch {
		case len(fields) == 2 && fields[0] == "tool":
			tools = append(tools, fields[1])
		case len(fields) >= 2 && strings.HasPrefix(fields[1], "v"):
			all[fields[0]] = fields[1]
			if !strings.Contains(line, "// indirect") {
				direct[fields[0]] = fields[1]
			}
		}
	}
	for module, version := range all {
		if slices.ContainsFunc(tools, func(tool string) bool { return within(tool, module) }) {
			direct[module] = version
		}
	}
	return direct
}

func TestDirectModules(t *testing.T) {
	gomod := "module m\n\ngo 1.26\n\nrequire one/a v1.0.0\nrequire (\n\ttwo/b/v2 v2.1.0\n\tthree/c v0.1.0 // indirect\n\tfour/d v0.2.0 // indirect\n)\n\ntool four/d/cmd/x\n"
	want := map[string]string{"one/a": "v1.0.0", "two/b/v2": "v2.1.0", "four/d": "v0.2.0"}
	if got := directModules(gomod); !maps.Equal(got, want) {
		t.Errorf("directModules = %v, want %v", got, want)
	}
}

// row is a line of the table of dependencies: module, version, reason.
var row = regexp.MustCompile(`(?m)^\| (\S+\.\S+/\S+|\S+\.\S+) \| (v\S+) \| \S.* \|$`)

func rows(page string) map[string]string {
	found := map[string]string{}
	for _, m := range row.FindAllStringSubmatch(page, -1) {
		found[m[1]] = m[2]
	}
	return found
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
