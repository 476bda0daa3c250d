package app

import (
	"fmt"
	"os"
	"runtime"
)

// warnOfExposure logs a warning for files with secrets that every user of the machine can read. The
// server still starts, because containers mount secrets with such modes.
func (s *server) warnOfExposure(configWithSecrets string) {
	type secret struct{ setting, path string }
	files := []secret{{"--data", s.settings.Data}}
	if s.settings.TLSKey != "" {
		files = append(files, secret{"--tls-key", s.settings.TLSKey})
	}
	if s.settings.OIDCClientSecretFile != "" {
		files = append(files,
			secret{"--oidc-client-secret-file", s.settings.OIDCClientSecretFile})
	}
	if configWithSecrets != "" {
		files = append(files, secret{"--config", configWithSecrets})
	}
	for _, f := range files {
		info, err := os.Stat(f.path)
		if err != nil || !readByOthers(info) {
			continue
		}
		s.log.Warn("others on this machine can read secrets of the server", "setting", f.setting,
			"path", f.path, "mode", fmt.Sprintf("%04o", info.Mode().Perm()),
			"cure", "chmod o= "+f.path)
	}
}

// readByOthers reports whether users other than the owner and the group can use a file. The group
// may read the file, since services share a certificate by a group.
func readByOthers(info os.FileInfo) bool {
	return runtime.GOOS != "windows" && info.Mode().Perm()&0o007 != 0
}
