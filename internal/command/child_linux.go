package command

import (
	"os/exec"
	"syscall"
)

// dieWithParent has a process killed when the one that starts it ends: it would
// keep the lock of the file it looks at.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
