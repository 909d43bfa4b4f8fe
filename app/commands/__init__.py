"""The commands of ``maeum``, by what they are about."""
