package access

import (
	"errors"

	"github.com/stagedoor/stagedoor/internal/stage"
)

func operatorsOnly() error {
	return stage.Errorf(stage.ErrDenied, "Only an operator may do this.").WithCode("denied")
}

// cmpErr is the first error if there is one, else the other.
func cmpErr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// notFoundIs says a missing row in the words of what was looked for.
func notFoundIs(err, otherwise error) error {
	if errors.Is(err, stage.ErrNotFound) {
		return otherwise
	}
	return err
}

func noSuch(what string) error { return stage.Errorf(stage.ErrNotFound, "There is no such %s.", what) }
