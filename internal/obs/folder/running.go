package folder

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// mustBeClosed returns an error while OBS runs, because OBS writes its files when it ends and would
// revert every change.
func (f Folder) mustBeClosed() error {
	if !f.running() {
		return nil
	}
	return stage.Errorf(stage.ErrConflict,
		"OBS is running: close it first. It writes its settings when it ends, over what is "+
			"changed now.").
		WithCode("obs_running")
}

// running looks for a process that has a log file of this folder open. On systems that do not
// reveal open files, it looks for any process of OBS.
func (f Folder) running() bool {
	switch runtime.GOOS {
	case "linux":
		return f.logOpen("/proc")
	case "windows":
		out, _ := exec.Command("tasklist", "/FI", "IMAGENAME eq obs64.exe", "/NH").Output()
		return strings.Contains(strings.ToLower(string(out)), "obs64.exe")
	}
	out, _ := exec.Command("ps", "-axo", "comm=").Output()
	for line := range strings.Lines(string(out)) {
		if name := filepath.Base(strings.TrimSpace(line)); name == "OBS" || name == "obs" {
			return true
		}
	}
	return false
}

func (f Folder) logOpen(proc string) bool {
	dir, err := filepath.EvalSymlinks(f.Dir)
	if err != nil {
		dir = f.Dir
	}
	logs := filepath.Join(dir, "logs") + string(filepath.Separator)
	open, _ := filepath.Glob(filepath.Join(proc, "[0-9]*", "fd", "*"))
	for _, fd := range open {
		if target, err := os.Readlink(fd); err == nil && strings.HasPrefix(target, logs) {
			return true
		}
	}
	return false
}
