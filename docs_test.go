package main_test

import (
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	testFunc   = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Z]\w*)\(`)
	testName   = regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w*`)
	scriptName = regexp.MustCompile(`\b[a-z0-9_-]+\.txtar\b`)
	fuzzRow    = regexp.MustCompile("(?m)^\\| `(Fuzz\\w+)` \\| `([^`]+)` \\|")
)

// A promise whose test was renamed or removed is one that nothing holds.
func TestReliabilityNamesWhatIsThere(t *testing.T) {
	page, there := read(t, "docs/reliability.md"), testsByName(t)
	named := testName.FindAllString(page, -1)
	for _, name := range named {
		if there[name] == nil {
			t.Errorf("docs/reliability.md names %s, which is no test", name)
		}
	}
	scripts := scriptName.FindAllString(page, -1)
	for _, name := range scripts {
		if found, _ := filepath.Glob("testdata/script/" + name); found == nil {
			t.Errorf("docs/reliability.md names %s, which is no script", name)
		}
	}
	if len(named) < 50 || len(scripts) < 5 {
		t.Errorf("%d tests and %d scripts are named: is this still the page?", len(named), len(scripts))
	}
}

// Every fuzz target has its row, and every row its target.
func TestFuzzTargetsAreListed(t *testing.T) {
	listed := map[string]bool{}
	for _, row := range fuzzRow.FindAllStringSubmatch(read(t, "docs/reliability.md"), -1) {
		listed[row[2]+" "+row[1]] = true
	}
	there := map[string]bool{}
	for name, folders := range testsByName(t) {
		for _, folder := range folders {
			if strings.HasPrefix(name, "Fuzz") {
				there[folder+" "+name] = true
			}
		}
	}
	if !maps.Equal(listed, there) {
		t.Errorf("docs/reliability.md lists the targets\n%v\nthere are\n%v", slices.Sorted(maps.Keys(listed)), slices.Sorted(maps.Keys(there)))
	}
}

// testsByName gives the folders in which a test or fuzz target of a name lies.
func testsByName(t *testing.T) map[string][]string {
	there := map[string][]string{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		for _, f := range testFunc.FindAllStringSubmatch(read(t, path), -1) {
			there[f[1]] = append(there[f[1]], filepath.ToSlash(filepath.Dir(path)))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return there
}
