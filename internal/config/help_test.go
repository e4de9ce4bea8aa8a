package config_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"backstop/internal/config"
)

// environ is an environment with nothing in it but these variables.
type environ map[string]string

func (e environ) lookup(name string) (string, bool) {
	value, ok := e[name]
	return value, ok
}

func (e environ) with(name, value string) environ {
	e = maps.Clone(e)
	e[name] = value
	return e
}

// write puts text into a file of its own, readable by its owner alone.
func write(t testing.TB, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func options(file string, env environ) config.Options {
	return config.Options{
		Path: file, Env: env.lookup, Dirs: []string{},
		Checks: config.Checks{Schedule: func(spec string, tz *time.Location) error {
			if strings.Contains(spec, "never") {
				return fmt.Errorf("%q never fires, write @hourly", spec)
			}
			return nil
		}, Log: func(l config.LogSource) error {
			if l.Fields.EventID == "$.bad" {
				return errors.New("$.bad is bad, write a good one")
			}
			return nil
		}, Query: func(q config.QuerySource) error {
			if q.SQL == "bad" {
				return errors.New("is bad, write good SQL")
			}
			return nil
		}},
	}
}

// load reads text as a file in env and must succeed.
func load(t testing.TB, text string, env environ) (*config.Config, []config.Warning) {
	t.Helper()
	c, warnings, err := config.Load(options(write(t, "config.yaml", text), env))
	if err != nil {
		t.Fatalf("load: %v\n%s", err, text)
	}
	return c, warnings
}

// mistakes are the lines of err with the folder of the file cut off.
func mistakes(t testing.TB, file string, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*config.Errors](err); !ok {
		t.Fatalf("error is a %T, want *Errors: %v", err, err)
	}
	return strings.Split(strings.ReplaceAll(err.Error(), filepath.Dir(file)+"/", ""), "\n")
}

func warningText(warnings []config.Warning) string {
	var b strings.Builder
	for _, w := range warnings {
		b.WriteString(w.String() + "\n")
	}
	return b.String()
}
