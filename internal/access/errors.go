package access

import (
	"errors"

	"github.com/stagedoor/stagedoor/internal/stage"
)

func operatorsOnly() error {
	return stage.Errorf(stage.ErrDenied, "Only an operator may do this.").WithCode("denied")
}

// cmpErr returns the first error that is not nil, as cmp.Or does for comparable values.
func cmpErr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// notFoundIs replaces stage.ErrNotFound with an error that fits the caller.
func notFoundIs(err, otherwise error) error {
	if errors.Is(err, stage.ErrNotFound) {
		return otherwise
	}
	return err
}

func noSuch(what string) error {
	return stage.Errorf(stage.ErrNotFound, "There is no such %s.", what)
}
