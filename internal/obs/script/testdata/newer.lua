-- Makes the script run in OBS 29 as in OBS 30. It adds the functions config_* and os_generate_uuid,
-- which obslua has since OBS 30, and pretends that the version is 30 and that OBS has WHIP and
-- browser docks, which Debian's OBS lacks. Everything else is the real OBS. With a file named
-- "no-whip" in the home folder, OBS stays without WHIP.
local obs, ffi = obslua, require("ffi")
local home = os.getenv("HOME")
ffi.cdef [[
typedef struct config_data config_t;
const char *config_get_string(config_t *, const char *, const char *);
void config_set_string(config_t *, const char *, const char *, const char *);
bool config_remove_value(config_t *, const char *, const char *);
bool config_has_user_value(config_t *, const char *, const char *);
int config_save_safe(config_t *, const char *, const char *);
config_t *obs_frontend_get_global_config(void);
config_t *obs_frontend_get_profile_config(void);
]]
local C = ffi.C
for _, name in ipairs { "config_remove_value", "config_has_user_value", "config_save_safe",
  "obs_frontend_get_global_config", "obs_frontend_get_profile_config" } do
  obs[name] = function(...) return C[name](...) end
end
function obs.config_get_string(config, section, name)
  local value = C.config_get_string(config, section, name)
  return value ~= nil and ffi.string(value) or nil
end
function obs.config_set_string(config, section, name, value)
  if name == "ExtraBrowserDocks" then -- the list from which OBS would load the docks
    local file = io.open(home .. "/docks.txt", "a")
    file:write(value, "\n")
    file:close()
  end
  C.config_set_string(config, section, name, value)
end
function obs.os_generate_uuid()
  local file = io.open("/proc/sys/kernel/random/uuid")
  local text = file:read("*l")
  file:close()
  return text
end

local create, module, version = obs.obs_service_create, obs.obs_get_module, obs.obs_get_version()
function obs.obs_get_version() return math.max(version, 30 * 2 ^ 24) end
local blind = io.open(home .. "/no-whip")
if not blind then
  function obs.obs_service_create(kind, ...) return create(kind == "whip_custom" and "rtmp_custom" or kind, ...) end
end
function obs.obs_get_module(name) return module(name == "obs-browser" and "obs-websocket" or name) end

-- When OBS has loaded, presses the button that a file names, as a person would.
local buttons, add_button = {}, obs.obs_properties_add_button
function obs.obs_properties_add_button(properties, name, label, pressed)
  buttons[name] = function() pressed(properties) end
  return add_button(properties, name, label, pressed)
end
obs.obs_frontend_add_event_callback(function(event)
  local file = event == obs.OBS_FRONTEND_EVENT_FINISHED_LOADING and io.open(home .. "/press")
  if file then
    script_properties()
    buttons[file:read("*l")]()
    file:close()
    os.remove(home .. "/press")
  end
end)

dofile(home .. "/stagedoor.lua")
