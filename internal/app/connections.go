package app

import "github.com/stagedoor/stagedoor/internal/httpkit"

const (
	// One address may be a whole venue: docks, browser sources and guests behind a NAT.
	maxPerNetwork = 2048
	maxTotal      = 1 << 20
	// What the process opens beside connections: the database, the log, the media socket.
	ownFiles = 64
	// Requests of one HTTP/2 connection at the same time; browsers need some ten.
	maxStreams = 100
)

// connectionLimits follow the limit of the process for open files, which services, containers and
// desktops set very differently. 0 is no limit.
func connectionLimits(files int, proxies httpkit.Proxies) httpkit.ConnectionLimits {
	total := maxTotal
	if files > 0 {
		total = min(total, max(files-ownFiles, files/2))
	}
	return httpkit.ConnectionLimits{
		PerNetwork: max(1, min(maxPerNetwork, total/3)), Total: max(1, total), Exempt: proxies,
	}
}
