-- Health of a RagService for Argo CD. Healthy means what Ready means: every API pod has said that it serves what is declared.
local function condition(kind)
  for _, found in ipairs(obj.status.conditions) do
    if found.type == kind then
      return found
    end
  end
  return {status = "Unknown", reason = "", message = ""}
end

local function said(found)
  return found.reason .. ": " .. found.message
end

if obj.status == nil or obj.status.conditions == nil then
  return {status = "Progressing", message = "The operator has not looked at it yet."}
end
if obj.status.observedGeneration ~= obj.metadata.generation then
  return {status = "Progressing", message = "The operator has not seen the last edit yet."}
end
local ready = condition("Ready")
if ready.status == "True" then
  return {status = "Healthy", message = ready.message}
end
if condition("Suspended").status == "True" then
  return {status = "Suspended", message = ready.message}
end
if condition("Degraded").status == "True" then
  return {status = "Degraded", message = said(ready)}
end
return {status = "Progressing", message = said(ready)}
