package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
	_ "time/tzdata" // a container may have no tz database
)

// Options say where a configuration is looked for. The zero Options are those
// of a process: its environment and the usual places.
type Options struct {
	Path   string                      // --config; "": BACKSTOP_CONFIG, then Dirs
	Env    func(string) (string, bool) // nil: os.LookupEnv
	Dirs   []string                    // where config.yaml may lie; nil: "." and /etc/backstop
	Checks Checks
}

// Checks are questions to packages that this one may not import.
type Checks struct {
	// Schedule says what is wrong with a cron expression in a time zone, quoting
	// it. nil: not asked.
	Schedule func(spec string, tz *time.Location) error
	// Log says what is wrong with the fields of a log, Query what with the SQL of
	// a query, ending with what would be right. nil: not asked.
	Log   func(LogSource) error
	Query func(QuerySource) error
}

func (o Options) withDefaults() Options {
	if o.Env == nil {
		o.Env = os.LookupEnv
	}
	if o.Dirs == nil {
		o.Dirs = []string{".", "/etc/backstop"}
	}
	return o
}

// Find names the file that Load would read: --config, BACKSTOP_CONFIG, or the
// first config.yaml in the usual places; "" when there is none. A file that
// is named is not checked to exist.
func Find(o Options) string {
	o = o.withDefaults()
	if o.Path != "" {
		return o.Path
	}
	if named, _ := o.Env("BACKSTOP_CONFIG"); named != "" {
		return named
	}
	for _, dir := range o.Dirs {
		file := filepath.Join(dir, "config.yaml")
		if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
			return file
		}
	}
	return ""
}

// Load reads the configuration: the file, then the environment for what the
// file does not say, then the defaults. The error is an *Errors with every
// mistake there is; warnings come with and without one. A value that is
// written but cannot be had right now is no error here; ask Need.
func Load(o Options) (*Config, []Warning, error) {
	cfg, warnings, err := Salvage(o)
	if err != nil {
		return nil, warnings, err
	}
	return cfg, warnings, nil
}

// Salvage is Load, but also of a configuration with mistakes it gives what could
// be read: a value that is wrong stays at its default. It is for whoever looks
// for what is wrong, and nothing may be done by it. The Config is nil only where
// the file is no YAML.
func Salvage(o Options) (*Config, []Warning, error) {
	o = o.withDefaults()
	d := &decoder{file: Find(o), env: o.Env, checks: o.Checks, config: Default(), written: make(map[string]value)}
	d.config.File = d.file
	if d.file != "" {
		root, mistakes := readTree(d.file)
		if len(mistakes) > 0 {
			return nil, nil, joined(mistakes)
		}
		d.root(value{node: root})
	}
	d.environment()
	d.finish()
	d.check()
	return d.config, d.warnings, joined(d.mistakes)
}

// finish brings values into the one form the rest of the program expects.
func (d *decoder) finish() {
	h := &d.config.Heygen
	h.BaseURL = strings.TrimRight(h.BaseURL, "/")
	if h.BaseURL == "" {
		h.BaseURL = Default().Heygen.BaseURL
	}
}
