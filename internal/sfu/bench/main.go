// Command bench measures the media plane: go run ./internal/sfu/bench
//
// It measures fan-out (1x100 and 1x300: one publisher and its viewers) and a conversation (5x4:
// five participants, each of whom publishes and is viewed by the four others). For each row, one
// process is the server. A second process contains the publishers and all viewers. A publisher
// sends 2.5 Mb/s of picture at 30 frames a second, and 50 packets of sound a second.
// A viewer is a socket that does ICE and DTLS and then only counts packets, so that no row includes
// the cost of receiving. To measure latency, one viewer in ten decrypts. If there are few viewers,
// all of them do. Every viewer offers transport-wide feedback. If the server numbers the packets,
// the viewer sends the feedback every 50 ms, about as often as Chromium. Our server numbers them,
// and pion's fan-out does not. The servers are:
//
//	baseline  only AES-128-GCM and sendmmsg for every packet and viewer
//	ours      this package
//	pion      pion/webrtc: one PeerConnection and one TrackLocalStaticRTP for each viewer
//
// The ratio compares the time per packet, and not per second: the publishers share the machine with
// the server, and on a busy machine they send less than they should. CPU is user and system time of
// the server process over the measured seconds. On loopback that includes the kernel's delivery to
// the viewers' sockets. RSS is the memory of the server process at the end. RSS per viewer is the
// growth of RSS since before the first viewer, divided by the number of viewers.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

func main() {
	seconds := flag.Int("seconds", 6, "measured seconds of each row")
	stages := flag.String("stages", "1x100,1x300,5x4", "publishers x viewers of each")
	kinds := flag.String("servers", "baseline,ours,pion", "what to measure")
	role := flag.String("role", "", "internal: server or clients")
	kind := flag.String("kind", "", "internal")
	url := flag.String("url", "", "internal")
	flag.Parse()
	list, err := parseShapes(*stages)
	if err != nil {
		fail(err)
	}
	switch *role {
	case "server":
		err = serve(*kind)
	case "clients":
		err = runClients(*kind, *url, list[0], time.Duration(*seconds)*time.Second)
	default:
		err = compare(strings.Split(*kinds, ","), list, *seconds)
	}
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "bench:", err)
	os.Exit(1)
}

// A shape is the number of publishers, and of viewers for each.
type shape struct{ publishers, each int }

func (s shape) String() string { return fmt.Sprintf("%dx%d", s.publishers, s.each) }

func (s shape) viewers() int { return s.publishers * s.each }

func parseShapes(text string) (list []shape, err error) {
	for item := range strings.SplitSeq(text, ",") {
		var s shape
		if _, err := fmt.Sscanf(item, "%dx%d", &s.publishers, &s.each); err != nil ||
			s.viewers() <= 0 {
			return nil, fmt.Errorf("%q is not publishers x viewers of each, such as 5x4", item)
		}
		list = append(list, s)
	}
	return list, nil
}

// A usage is what the server process has used.
type usage struct {
	CPU time.Duration
	RSS int
}

// A result contains the measurements of the clients.
type result struct {
	Packets            int // received by all viewers in the measured time
	Expected           int
	P50, P99           time.Duration // publisher to viewer
	FirstP50, FirstP99 time.Duration // from the answer to the first packet of the picture
	Before, Start, End usage
	Took               time.Duration
}

func compare(kinds []string, stages []shape, seconds int) error {
	fmt.Printf("%-8s %7s %9s %10s %8s %10s %9s %9s %9s %9s %7s\n", "server", "stage", "CPU/core",
		"µs/packet", "RSS/MB", "MB/viewer", "latency50", "latency99", "first50", "first99",
		"arrived")
	for _, s := range stages {
		var baseline float64 // the baseline's time per packet
		for _, kind := range kinds {
			r, err := measure(kind, s, seconds)
			if err != nil {
				return fmt.Errorf("%s with %s: %w", kind, s, err)
			}
			cpu := r.End.CPU - r.Start.CPU
			each := float64(cpu) / float64(max(1, r.Packets))
			if kind == "baseline" {
				baseline = each
			}
			ratio := ""
			if baseline > 0 && kind != "baseline" {
				ratio = fmt.Sprintf("  %.2f x baseline", each/baseline)
			}
			fmt.Printf("%-8s %7s %8.1f%% %10.2f %8.1f %10.3f %9s %9s %9s %9s %6.1f%%%s\n", kind, s,
				float64(cpu)*100/float64(r.Took),
				each/float64(time.Microsecond), float64(r.End.RSS)/1e6,
				float64(r.End.RSS-r.Before.RSS)/float64(s.viewers())/1e6,
				ms(r.P50), ms(r.P99), ms(r.FirstP50), ms(r.FirstP99),
				float64(r.Packets)*100/float64(max(1, r.Expected)), ratio)
		}
	}
	return nil
}

func ms(d time.Duration) string {
	if d == 0 {
		return "-" // not measured
	}
	return fmt.Sprintf("%.2fms", float64(d)/1e6)
}

func measure(kind string, s shape, seconds int) (r result, err error) {
	self, err := os.Executable()
	if err != nil {
		return r, err
	}
	server := exec.Command(self, "-role", "server", "-kind", kind)
	server.Stderr = os.Stderr
	stop, err := server.StdinPipe()
	if err != nil {
		return r, err
	}
	out, err := server.StdoutPipe()
	if err != nil {
		return r, err
	}
	if err := server.Start(); err != nil {
		return r, err
	}
	defer server.Wait()
	defer stop.Close()
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return r, fmt.Errorf("the server does not say where it is: %w", err)
	}
	clients := exec.Command(self, "-role", "clients", "-kind", kind, "-url", strings.TrimSpace(url),
		"-stages", s.String(), "-seconds", strconv.Itoa(seconds))
	clients.Stderr = os.Stderr
	raw, err := clients.Output()
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(raw, &r)
}

func post(url, body string) (string, error) {
	resp, err := http.Post(url, "application/sdp", strings.NewReader(body))
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusCreated {
		err = fmt.Errorf("status %d: %s", resp.StatusCode, answer)
	}
	return string(answer), err
}

func usageAt(url string) (u usage, err error) {
	resp, err := http.Get(url + "/usage")
	if err != nil {
		return u, err
	}
	defer resp.Body.Close()
	return u, json.NewDecoder(resp.Body).Decode(&u)
}
