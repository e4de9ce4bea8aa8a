package config

import (
	"os"
	"path/filepath"
)

// systemSocket is where the system's daemon has its control socket: the runtime
// directory that the unit of this project asks for.
const systemSocket = "/run/backstop/control.sock"

// ControlSockets are the places where a daemon may answer, in the order in which
// a verb tries them: the configured one alone, else the system's and the one
// beside the state file.
func (c *Config) ControlSockets() []string {
	if c.Control != "" {
		return []string{c.Control}
	}
	return []string{systemSocket, c.socketBesideState()}
}

// ControlSocket is where the daemon listens: the configured path, else the
// runtime directory that systemd made for it, else beside the state file.
func (c *Config) ControlSocket(env func(string) (string, bool)) string {
	if c.Control != "" {
		return c.Control
	}
	if dir, ok := env("RUNTIME_DIRECTORY"); ok && dir == filepath.Dir(systemSocket) {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			return systemSocket
		}
	}
	return c.socketBesideState()
}

func (c *Config) socketBesideState() string { return c.State.Path + ".sock" }
