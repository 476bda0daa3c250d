package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
	"github.com/stagedoor/stagedoor/internal/web"
)

// TestBehindAPooler: three servers reach PostgreSQL through PgBouncer in the transaction mode. They
// start together on an empty database. Tokens are issued, stage events reach the pages of the other
// servers, and a killed server starts again. The third server has a direct connection for
// notifications, as docs/scale.md advises.
func TestBehindAPooler(t *testing.T) {
	t.Parallel()
	f := prepareFleet(t, 3)
	pooled := f.DB.Pooled(t, f.Database)
	for i, m := range f.Servers {
		m.Database = pooled
		if i == 2 {
			m.Start("--database-direct", f.Database, "--log-level", "info")
		} else {
			m.Start("--log-level", "info")
		}
	}
	for _, m := range f.Servers {
		m.Ready()
	}
	m := f.Servers[2]
	m.Kill(syscall.SIGKILL) // restart this server, so that it prints the valid setup link
	m.Start("--database-direct", f.Database, "--log-level", "info")
	m.Ready()

	olga := f.operator()
	main := olga.stage()
	f.broadcasterOn(olga, "ana", main)
	ana := f.callers[0]
	var issuing sync.WaitGroup
	for i := range 8 {
		issuing.Go(func() {
			for range 25 {
				at := ana.at(f.Servers[i%3])
				if status, _, text, err := at.do("POST", "/api/tokens",
					map[string]any{"stage": main}); err != nil || status != http.StatusCreated {
					t.Errorf("a token: got %d %s %v", status, text, err)
				}
			}
		})
	}
	issuing.Wait()

	for i, m := range f.Servers {
		dock := f.dockAt(ana, m)
		other := f.Servers[(i+1)%3]
		var token web.Token
		ana.at(other).must(http.StatusCreated, "POST", "/api/tokens", map[string]any{"stage": main},
			&token)
		live, err := rtcpeer.Publish(t, rtcpeer.HTTP("http://"+other.Listen+"/whip", token.Token),
			rtcpeer.PublishOptions{})
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		apptest.Await(dock, "stage", of(token, "publishing"))
		t.Logf("server %d received the event of another one after %v", i, time.Since(begun))
		if err := live.HangUp(t.Context()); err != nil {
			t.Error(err)
		}
		apptest.Await(dock, "stage", of(token, "ended"))
		name := fmt.Sprint("stage ", i)
		olga.at(other).must(http.StatusCreated, "POST", "/api/stages", web.NewStage{Name: name},
			nil)
	}
	for i, m := range f.Servers {
		if out := m.Out.String(); !strings.Contains(out,
			"a connection pooler is in front of the database") {
			t.Errorf("server %d has not found the pooler: %s", i, out)
		}
	}
}
