package lossy_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest/lossy"
)

// echo returns a server that sends every packet back.
func echo(t *testing.T) string {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		buffer := make([]byte, 2048)
		for {
			n, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(buffer[:n], from)
		}
	}()
	return conn.LocalAddr().String()
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("udp4", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// volley sends the numbers 0 to n-1, each after the previous one has arrived or was lost. It
// returns those that come back.
func volley(t *testing.T, link *lossy.Link, conn net.Conn, n int) (back []string) {
	t.Helper()
	upBefore, downBefore := link.Counts()
	buffer := make([]byte, 2048)
	for i := range n {
		if _, err := fmt.Fprint(conn, i); err != nil {
			t.Fatal(err)
		}
		await(t, "the fate of a packet", func() bool {
			up, down := link.Counts()
			return decided(up)-decided(upBefore) == i+1 &&
				decided(down)-decided(downBefore) == up.Passed-upBefore.Passed
		})
		if _, down := link.Counts(); down.Passed-downBefore.Passed == len(back) {
			continue // lost on the way
		}
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		size, err := conn.Read(buffer)
		if err != nil {
			t.Fatalf("packet %d did not come back: %v", i, err)
		}
		back = append(back, string(buffer[:size]))
	}
	return back
}

func decided(c lossy.Count) int { return c.Passed + c.Lost + c.Queued + c.Cut }

func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !so(); time.Sleep(50 * time.Microsecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: never came", what)
		}
	}
}

func TestAPerfectLinkPassesAll(t *testing.T) {
	t.Parallel()
	link := lossy.Open(t, echo(t), lossy.Options{})
	if back := volley(t, link, dial(t, link.Addr()), 200); len(back) != 200 {
		t.Errorf("%d of 200 came back", len(back))
	}
}

func TestLossIsTheSameForTheSameSeed(t *testing.T) {
	t.Parallel()
	run := func(seed uint64) string {
		link := lossy.Open(t, echo(t), lossy.Options{
			Up: lossy.Conditions{Loss: 0.1}, Down: lossy.Conditions{Loss: 0.1}, Seed: seed,
		})
		back := volley(t, link, dial(t, link.Addr()), 500)
		if len(back) < 350 || len(back) > 450 {
			t.Errorf("%d of 500 came back, want about 405", len(back))
		}
		return strings.Join(back, " ")
	}
	first := run(1)
	if run(1) != first {
		t.Errorf("the same seed lost other packets")
	}
	if run(2) == first {
		t.Errorf("another seed lost the same packets")
	}
}

func TestPickedPacketsAreLost(t *testing.T) {
	t.Parallel()
	even := func(packet []byte) bool { return (packet[len(packet)-1]-'0')%2 == 0 }
	link := lossy.Open(t, echo(t), lossy.Options{Down: lossy.Conditions{Picks: even}})
	if got, want := strings.Join(volley(t, link, dial(t, link.Addr()), 6),
		" "), "1 3 5"; got != want {
		t.Errorf("came back: got %s, want %s", got, want)
	}
}

func TestDelayIsAddedEachWay(t *testing.T) {
	t.Parallel()
	c := lossy.Conditions{Delay: 60 * time.Millisecond}
	link := lossy.Open(t, echo(t), lossy.Options{Up: c, Down: c})
	start := time.Now()
	back := volley(t, link, dial(t, link.Addr()), 1)
	if took := time.Since(start); len(back) != 1 || took < 120*time.Millisecond {
		t.Errorf("%d came back after %v, want 1 after 120 ms", len(back), took)
	}
}

func TestTwoPeersAreTwoToTheTarget(t *testing.T) {
	t.Parallel()
	link := lossy.Open(t, echo(t), lossy.Options{})
	ana, ben := dial(t, link.Addr()), dial(t, link.Addr())
	_, _ = fmt.Fprint(ana, "from ana")
	_, _ = fmt.Fprint(ben, "from ben")
	for conn, want := range map[net.Conn]string{ana: "from ana", ben: "from ben"} {
		buffer := make([]byte, 100)
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, err := conn.Read(buffer)
		if err != nil || string(buffer[:n]) != want {
			t.Errorf("got %q, %v, want %q", buffer[:n], err, want)
		}
	}
}

func TestACutLosesAllUntilItIsMended(t *testing.T) {
	t.Parallel()
	link := lossy.Open(t, echo(t), lossy.Options{})
	conn := dial(t, link.Addr())
	link.Cut()
	if back := volley(t, link, conn, 20); len(back) > 0 {
		t.Errorf("%d packets crossed a cut link", len(back))
	}
	if up, _ := link.Counts(); up.Cut != 20 {
		t.Errorf("the counts of a cut link: got %+v, want 20 packets cut", up)
	}
	link.Mend()
	if back := volley(t, link, conn, 20); len(back) != 20 {
		t.Errorf("%d of 20 came back once mended", len(back))
	}
}

func TestRewriteLeadsCandidatesThroughTheLink(t *testing.T) {
	t.Parallel()
	target := echo(t)
	link := lossy.Open(t, target, lossy.Options{})
	_, port, _ := net.SplitHostPort(target)
	_, through, _ := net.SplitHostPort(link.Addr())
	sdp := "a=candidate:1 1 udp 2130706431 127.0.0.1 %s typ host\r\na=candidate:2 1 udp 1 " +
		"192.0.2.1 9 typ host\r\n"
	if got, want := link.Rewrite(fmt.Sprintf(sdp, port)), fmt.Sprintf(sdp, through); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
