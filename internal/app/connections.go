package app

import "github.com/stagedoor/stagedoor/internal/httpkit"

const (
	// One address may stand for a whole venue: docks, browser sources and guests behind a NAT.
	maxPerNetwork = 2048
	maxTotal      = 1 << 20
	// The files that the process opens besides connections: the database, the log, the media
	// socket.
	ownFiles = 64
	// Concurrent requests of one HTTP/2 connection; browsers need some ten.
	maxStreams = 100
)

// connectionLimits derives limits from the number of files that the process may open, which differs
// much between services, containers and desktops. 0 is no limit.
func connectionLimits(files int, proxies httpkit.Proxies) httpkit.ConnectionLimits {
	total := maxTotal
	if files > 0 {
		total = min(total, max(files-ownFiles, files/2))
	}
	return httpkit.ConnectionLimits{
		PerNetwork: max(1, min(maxPerNetwork, total/3)), Total: max(1, total), Exempt: proxies,
	}
}
