package obs

// These functions find out why a broadcast ended.

func (s machineState) ended() (machineState, []effect) { return s.explain("live.ended") }

// explain looks for the reason after OBS has stopped. The stage may have sent it before, or may
// send it shortly after.
func (s machineState) explain(text string) (machineState, []effect) {
	switch {
	case s.unwanted:
		return s.toIdle()
	case s.word.over():
		return s.conclude(s.word, text)
	case s.claim != nil:
		return s.conclude(s.claim, text)
	}
	s = s.to("explaining")
	s.fallback = text
	return do(s, timer("reason"))
}

func explained(s machineState, f fact) (machineState, []effect) {
	return s.conclude(f.event, s.fallback)
}

func unexplained(s machineState, _ fact) (machineState, []effect) {
	return s.conclude(nil, s.fallback)
}

// obsEnded handles a connection that closes while the machine waits for the reason: when OBS ends,
// it first stops the broadcast.
func (s machineState) obsEnded() (machineState, []effect) {
	return s.trouble(&reason{text: "live.obsEnded"}, false)
}

func (s machineState) conclude(w *word, text string) (machineState, []effect) {
	orphaned := s.offline && text == "live.ended"
	switch {
	case s.unattended && text == "live.ended" && s.renewals == 0 && (w == nil || !final(w.code)):
		return s.renew()
	case w != nil && w == s.word && w.kind == "refused" && s.renewable(*w):
		return s.renew()
	case w != nil:
		return s.trouble(w.reason(text), false)
	case orphaned:
		text = "live.serverGone"
	}
	s, effects := s.trouble(&reason{text: text}, false)
	s.orphaned = orphaned
	return s, effects
}

// These functions stop the stream.

func (s machineState) halt() (machineState, []effect) {
	s.unwanted = true
	return s.quiet(afterStop{after: "idle"})
}

func (s machineState) quiet(then afterStop) (machineState, []effect) {
	s = s.to("quieting")
	s.then, s.stopped, s.step, s.reason, s.phase = &then, false, "", then.reason, "stopping"
	if then.after == "start" || then.after == "renew" {
		s.phase = "reconnecting"
	}
	return do(s, effect{do: "stop"}, timer("stop"))
}

// stopSent handles the response to StopStream. While OBS connects, the response is status 501 (not
// running), and the stream starts a moment later.
func stopSent(s machineState, f fact) (machineState, []effect) {
	if f.running || s.connecting {
		return s, nil
	}
	s.stopped = true
	return do(s, effect{do: "status"})
}

func (s machineState) stopAgain() (machineState, []effect) {
	if s.tries+1 >= stopTries {
		return s.stopDone(false)
	}
	s.tries++
	return do(s, effect{do: "stop"}, timer("stop"))
}

// stopSeen requests the status of OBS, because STOPPED arrives before the output is inactive.
func (s machineState) stopSeen() (machineState, []effect) {
	s.stopped, s.tries = true, 0
	return do(s, effect{do: "status"})
}

func (s machineState) stopDoubted() (machineState, []effect) { return do(s, effect{do: "status"}) }

func stopChecked(s machineState, f fact) (machineState, []effect) {
	switch {
	case !f.active:
		s.connecting = false
		return s.stopDone(true)
	case !s.stopped:
		return s.stopAgain()
	case s.tries >= lookTries:
		return s.stopDone(false)
	}
	s.tries++
	return do(s, timer("look"))
}

func (s machineState) stopOnly() (machineState, []effect) {
	s.unwanted, s.phase, s.renewing, s.reason, s.then = true, "stopping", false, nil, &afterStop{
		after: "idle",
	}
	return s, nil
}

func (s machineState) stopDone(done bool) (machineState, []effect) {
	then := *s.then
	s.then, s.reason = nil, then.reason
	switch {
	case s.unwanted && done:
		return s.toIdle()
	case then.after == "trouble":
		return s.trouble(then.reason, !done)
	case !done:
		return s.trouble(&reason{text: "live.wontStop"}, true)
	case then.after == "idle":
		return s.toIdle()
	}
	return s.start(then.after == "renew")
}

// The functions below handle facts in the state "trouble".

func (s machineState) endedInTrouble() (machineState, []effect) {
	if s.about.participant == "" {
		return s.toIdle() // another client started the stream
	}
	return s.ended()
}

func judgedInTrouble(s machineState, f fact) (machineState, []effect) {
	if s.reason.detail == "" {
		return explainedLate(s, f)
	}
	if s.sending && f.event.kind == "ended" && final(f.event.code) {
		return s.giveUp(*f.event)
	}
	return s, nil
}

func explainedLate(s machineState, f fact) (machineState, []effect) {
	if s.reason.detail == "" && s.reason.text != "live.obsEnded" {
		s.reason = f.event.reason("live.ended")
	}
	return s, nil
}

// startOrphaned runs when the server answers again. It restarts a broadcast that ended meanwhile.
func (s machineState) startOrphaned() (machineState, []effect) {
	if !s.orphaned {
		return s, nil
	}
	s.renewing, s.reason = true, &reason{text: "live.forgotten"}
	return s.start(false)
}

// These functions handle a stream that OBS runs already.

// foundStarted handles a stream that a person started in OBS itself.
func (s machineState) foundStarted() (machineState, []effect) {
	s.unwanted, s.renewals, s.word, s.claim, s.since = false, 0, nil, nil, 0
	return s.take(false)
}

func (s machineState) take(loop bool) (machineState, []effect) {
	why := s.reason
	s = s.to("taking")
	s.loop, s.reason = loop, why
	return do(s, effect{do: "service", stage: s.stage, fresh: true})
}

func taken(s machineState, f fact) (machineState, []effect) {
	if f.mine != nil {
		if f.mine.participant != s.about.participant {
			s.word = nil
		}
		s.about, s.stage, s.claim, s.sending = *f.mine, f.mine.stage, nil, true
		if s.loop {
			return s.looped()
		}
		return s.confirm()
	}
	s.about.participant, s.deferred = "", nil
	switch {
	case f.whip && s.unattended:
		return s.goLive()
	case f.whip:
		return s.trouble(&reason{text: "live.otherToken"}, true)
	}
	return s.trouble(&reason{text: "live.elsewhere"}, true)
}

func (s machineState) resume() (machineState, []effect) {
	why := s.reason
	s = s.to("resuming")
	s.reason = why
	return do(s, effect{do: "status"})
}

func resumed(s machineState, f fact) (machineState, []effect) {
	switch {
	case f.active:
		s.unwanted = false
		return s.take(f.reconnecting)
	case s.sending && !s.unwanted:
		s.deferred = nil
		return s.trouble(&reason{text: "live.obsEnded"}, false)
	case s.phase == "trouble" && !s.sending:
		return s.backInTrouble()
	}
	return s.toIdle()
}

func (s machineState) backInTrouble() (machineState, []effect) {
	why := s.reason
	s = s.to("trouble")
	s.reason = why
	return s, nil
}

// resumeFailed handles a connection that breaks while the machine resumes. The next connection
// resumes again.
func (s machineState) resumeFailed() (machineState, []effect) {
	switch {
	case s.phase == "trouble":
		return s.backInTrouble()
	case s.sending:
		return s.away()
	}
	return s.toIdle()
}
