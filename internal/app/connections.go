package app

import "github.com/stagedoor/stagedoor/internal/httpkit"

const (
	// The limit is high, since all docks, browser sources and guests of a venue may share one
	// address behind a NAT.
	maxPerNetwork = 2048
	maxTotal      = 1 << 20
	// ownFiles is the number of files that are kept free for uses other than connections: database,
	// log, media socket.
	ownFiles = 64
	// maxStreams limits the concurrent requests of one HTTP/2 connection; browsers need about ten.
	maxStreams = 100
)

// connectionLimits derives the limits from the number of files that the process may open, which
// differs much between services, containers and desktops. If `files` is 0, the process has no
// limit.
func connectionLimits(files int, proxies httpkit.Proxies) httpkit.ConnectionLimits {
	total := maxTotal
	if files > 0 {
		total = min(total, max(files-ownFiles, files/2))
	}
	return httpkit.ConnectionLimits{
		PerNetwork: max(1, min(maxPerNetwork, total/3)), Total: max(1, total), Exempt: proxies,
	}
}
