-- Prints a line when OBS has loaded everything and has drawn its window: its event loop has
-- saved the scenes ten times, 50 ms apart. Ended earlier, OBS 29 crashes in that drawing.
local obs, saved = obslua, 0
local on_save, on_event

local function next_step()
  obs.remove_current_callback()
  if saved < 10 then return obs.obs_frontend_save() end
  obs.obs_frontend_remove_save_callback(on_save) -- none is left when OBS ends
  obs.obs_frontend_remove_event_callback(on_event)
  print("OBS has loaded")
end

function on_save(_, saving)
  if saving and saved < 10 then
    saved = saved + 1
    obs.timer_add(next_step, 50)
  end
end

function on_event(event)
  if event == obs.OBS_FRONTEND_EVENT_FINISHED_LOADING then
    obs.obs_frontend_add_save_callback(on_save)
    obs.obs_frontend_save()
  end
end

obs.obs_frontend_add_event_callback(on_event)
