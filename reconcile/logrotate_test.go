package reconcile

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// What logrotate really does with each of its ways loses no line and repeats none.
func TestLogrotate(t *testing.T) {
	program, err := exec.LookPath("logrotate")
	if err != nil {
		const how = "logrotate is not installed: apt-get install logrotate"
		if os.Getenv("BACKSTOP_REQUIRE_ALL") == "1" {
			t.Fatal(how)
		}
		t.Skip(how)
	}
	tests := []struct {
		name, how string
		times     int // 0: four
	}{
		{name: "create", how: "create 0600"},
		{name: "nocreate", how: "nocreate"},
		{name: "copytruncate", how: "copytruncate"},
		{name: "dateext", how: "create\ndateext\ndateformat -%Y%m%d-%s", times: 1},
		{name: "extension", how: "create\nextension .log"},
		{name: "delaycompress", how: "create\ncompress\ndelaycompress"},
		{name: "copytruncate and delaycompress", how: "copytruncate\ncompress\ndelaycompress"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newDesk(t)
			config := filepath.Join(t.TempDir(), "logrotate.conf")
			d.must(os.WriteFile(config, fmt.Appendf(nil, "%q {\nrotate 5\n%s\n}\n", d.path, tt.how), 0o600))
			rotate := func() {
				cmd := exec.CommandContext(t.Context(), program, "--force", "--state", config+".state", config)
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
			}
			d.append(d.path, d.lines(100))
			d.sync()
			for i := range cmp.Or(tt.times, 4) {
				d.append(d.path, d.lines(20))
				rotate()
				d.append(d.path, d.lines(20*i)) // nothing the first time
				d.sync()
				d.check(true)
			}
			d.warned(false)
		})
	}
}
