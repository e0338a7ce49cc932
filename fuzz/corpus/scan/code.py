import os as o
from subprocess import run as r
exec(__import__('base64').b64decode('cHJpbnQoMSk='))
r(['ls'])
o.system('x')
