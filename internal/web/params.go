package web

import (
	"net/http"
	"strconv"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

func userID(r *http.Request) access.UserID { return access.UserID(r.PathValue("id")) }

func stageARN(r *http.Request) stage.ARN { return stage.ARN(r.PathValue("arn")) }

func pageOf(r *http.Request) (access.Page, error) {
	q := r.URL.Query()
	p := access.Page{After: q.Get("after")}
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return p, stage.Errorf(stage.ErrInvalid, "limit must be a whole number, 1 or more.")
		}
		p.Limit = n
	}
	return p, nil
}

// seconds converts a token life in seconds. If the pointer is nil, the server chooses the life. A
// life of 0 is an error.
func seconds(n *int64) (time.Duration, error) {
	if n == nil {
		return 0, nil
	}
	const most = int64(stage.MaxTTL / time.Second)
	life := time.Duration(max(0, min(*n, most+1))) * time.Second // any int64 without an overflow
	return life, stage.CheckTTL(life)
}
