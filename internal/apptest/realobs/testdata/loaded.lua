-- Prints a line when OBS has loaded everything and has drawn its window: its event loop has
-- saved the scenes ten times, 50 ms apart. Ended earlier, OBS 29 crashes in that drawing.
-- Then it closes OBS's window when there is a file named "close".
--
-- It waits for no event: OBS adds a script's callbacks from a thread of its own, and on a busy
-- machine the event "finished loading" was over before that thread had run. A request to save is
-- ignored while OBS loads, and the next one is 50 ms away.
--
-- And the window is closed from OBS's event loop: OBS 29 closes it in the signal's handler when it
-- gets SIGINT, in the midst of whatever it was doing (docs/decisions/0160).
local obs, ffi, saved, closing = obslua, require("ffi"), 0, false
ffi.cdef [[
void *obs_frontend_get_main_window(void);
void _ZN6QTimer10singleShotEiPK7QObjectPKc(int, const void *, const char *);
]]
local function tick()
  local file = saved > 10 and io.open(os.getenv("HOME") .. "/close")
  if file then
    file:close()
    os.remove(os.getenv("HOME") .. "/close")
    closing = true
    obs.remove_current_callback()
  end
  if file or saved <= 10 then obs.obs_frontend_save() end
end
obs.obs_frontend_add_save_callback(function(_, saving) -- on the thread of the window
  if not saving then return end
  saved = saved + 1
  if saved == 11 then print("OBS has loaded") end
  if closing then
    closing = false
    ffi.C._ZN6QTimer10singleShotEiPK7QObjectPKc(0, ffi.C.obs_frontend_get_main_window(), "1close()")
  end
end)
obs.timer_add(tick, 50)
